// Package openfga runs the real OpenFGA server in this process, with the model and the demo tuples in an in-memory
// store. In front of it stands the part that Auth0 FGA adds: a token endpoint (POST /oauth/token, client credentials)
// and a check of the bearer token.
//
//	bearer check ── grpc-gateway ── (bufconn) ── gRPC ── OpenFGA ── memory
//	/oauth/token
//
// What differs from Auth0 FGA: answers are never stale, there is no rate limit, a write may hold 100 tuples, a client
// has no permissions of its own, anybody may make a store.
package openfga

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	grpc_ctxtags "github.com/grpc-ecosystem/go-grpc-middleware/tags"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/openfga/pkg/gateway"
	"github.com/openfga/openfga/pkg/logger"
	httpmiddleware "github.com/openfga/openfga/pkg/middleware/http"
	"github.com/openfga/openfga/pkg/middleware/requestid"
	"github.com/openfga/openfga/pkg/middleware/storeid"
	"github.com/openfga/openfga/pkg/middleware/validator"
	"github.com/openfga/openfga/pkg/server"
	serverErrors "github.com/openfga/openfga/pkg/server/errors"
	"github.com/openfga/openfga/pkg/server/health"
	"github.com/openfga/openfga/pkg/storage/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/steward-iam/steward/shared/fake/fgatest"
	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/model"
)

// Options say how the server is reached. The zero value is a plain OpenFGA without authentication.
type Options struct {
	// Issuer, if set, answers POST /oauth/token and checks every bearer token that is presented. Left empty, its
	// audience becomes [Server.Audience].
	Issuer *fgatest.Issuer
	// RequireToken also refuses calls without a bearer token, as Auth0 FGA does. Left off, a person with curl or an
	// OpenFGA SDK gets in without one.
	RequireToken bool
	// Tuples replaces the demo grants; an empty, non-nil slice means none.
	Tuples []fga.Tuple
}

// Server is an OpenFGA with one store in it, as an HTTP handler.
type Server struct {
	http.Handler

	URL     string // http://host:port, without a slash at its end
	StoreID string
	ModelID string

	seed    []fga.Tuple
	fga     *server.Server
	grpc    *grpc.Server
	conn    *grpc.ClientConn
	closeDB func()
}

// New starts an OpenFGA that is served at a URL, until [Server.Close]. It returns when the store is seeded.
func New(ctx context.Context, url string, opts Options) (_ *Server, err error) {
	seed := opts.Tuples
	if seed == nil {
		if seed, err = model.DemoTuples(); err != nil {
			return nil, err
		}
	}
	db := memory.New()
	core, err := server.NewServerWithOpts(
		server.WithDatastore(db),
		server.WithTransport(gateway.NewRPCTransport(logger.NewNoopLogger())),
	)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("make the OpenFGA server: %w", err)
	}
	s := &Server{URL: url, seed: seed, fga: core, closeDB: db.Close}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	handler, err := s.gateway(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx); err != nil {
		return nil, fmt.Errorf("seed the OpenFGA store: %w", err)
	}
	if opts.Issuer != nil {
		if opts.Issuer.Audience == "" {
			opts.Issuer.Audience = s.Audience()
		}
		guarded, tokens := opts.Issuer.Guard(handler, opts.RequireToken), opts.Issuer
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == fgatest.TokenPath {
				tokens.ServeHTTP(w, r)
				return
			}
			guarded.ServeHTTP(w, r)
		})
	}
	s.Handler = handler
	return s, nil
}

// gateway puts OpenFGA's HTTP API in front of its gRPC service, wired as the openfga command wires it.
func (s *Server) gateway(ctx context.Context) (http.Handler, error) {
	s.grpc = grpc.NewServer(
		grpc.ChainUnaryInterceptor(
			grpc_ctxtags.UnaryServerInterceptor(),
			requestid.NewUnaryInterceptor(),
			storeid.NewUnaryInterceptor(),
			validator.UnaryServerInterceptor(),
		),
		grpc.ChainStreamInterceptor(
			grpc_ctxtags.StreamServerInterceptor(),
			requestid.NewStreamingInterceptor(),
			validator.StreamServerInterceptor(),
			storeid.NewStreamingInterceptor(),
		),
	)
	openfgav1.RegisterOpenFGAServiceServer(s.grpc, s.fga)
	healthv1.RegisterHealthServer(s.grpc, &health.Checker{TargetService: s.fga, TargetServiceName: openfgav1.OpenFGAService_ServiceDesc.ServiceName})
	pipe := bufconn.Listen(1 << 20)
	go func() { _ = s.grpc.Serve(pipe) }() // ends with Close

	conn, err := grpc.NewClient("passthrough:///openfga",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		return nil, fmt.Errorf("dial the OpenFGA server: %w", err)
	}
	s.conn = conn
	encode := func(err error) *serverErrors.EncodedError {
		return serverErrors.NewEncodedError(serverErrors.ConvertToEncodedErrorCode(status.Convert(err)), err.Error())
	}
	mux := runtime.NewServeMux(
		runtime.WithForwardResponseOption(httpmiddleware.HTTPResponseModifier),
		runtime.WithErrorHandler(func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			httpmiddleware.CustomHTTPErrorHandler(ctx, w, r, encode(err))
		}),
		runtime.WithStreamErrorHandler(func(_ context.Context, err error) *status.Status { return status.Convert(encode(err)) }),
		runtime.WithHealthzEndpoint(healthv1.NewHealthClient(conn)),
		runtime.WithOutgoingHeaderMatcher(func(key string) (string, bool) { return key, true }),
	)
	if err := openfgav1.RegisterOpenFGAServiceHandler(context.WithoutCancel(ctx), mux, conn); err != nil {
		return nil, fmt.Errorf("register the OpenFGA gateway: %w", err)
	}
	return mux, nil
}

// fill makes the store, writes the model and the grants.
func (s *Server) fill(ctx context.Context) error {
	store, err := s.fga.CreateStore(ctx, &openfgav1.CreateStoreRequest{Name: "steward"})
	if err != nil {
		return fmt.Errorf("create store: %w", err)
	}
	s.StoreID = store.GetId()
	var written openfgav1.WriteAuthorizationModelRequest
	if err := protojson.Unmarshal(model.JSON, &written); err != nil {
		return fmt.Errorf("read model.json: %w", err)
	}
	written.StoreId = s.StoreID
	stored, err := s.fga.WriteAuthorizationModel(ctx, &written)
	if err != nil {
		return fmt.Errorf("write authorization model: %w", err)
	}
	s.ModelID = stored.GetAuthorizationModelId()
	return s.grant(ctx, s.seed)
}

func (s *Server) grant(ctx context.Context, tuples []fga.Tuple) error {
	if len(tuples) == 0 {
		return nil
	}
	writes := &openfgav1.WriteRequestWrites{}
	for _, t := range tuples {
		writes.TupleKeys = append(writes.TupleKeys, &openfgav1.TupleKey{User: t.User, Relation: t.Relation, Object: t.Object})
	}
	if _, err := s.fga.Write(ctx, &openfgav1.WriteRequest{StoreId: s.StoreID, AuthorizationModelId: s.ModelID, Writes: writes}); err != nil {
		return fmt.Errorf("write tuples: %w", err)
	}
	return nil
}

// Reset brings the store back to the tuples it was started with.
func (s *Server) Reset(ctx context.Context) error {
	for {
		page, err := s.fga.Read(ctx, &openfgav1.ReadRequest{StoreId: s.StoreID})
		if err != nil {
			return fmt.Errorf("read tuples: %w", err)
		}
		if len(page.GetTuples()) == 0 {
			return s.grant(ctx, s.seed)
		}
		deletes := &openfgav1.WriteRequestDeletes{}
		for _, t := range page.GetTuples() {
			k := t.GetKey()
			deletes.TupleKeys = append(deletes.TupleKeys, &openfgav1.TupleKeyWithoutCondition{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject()})
		}
		if _, err := s.fga.Write(ctx, &openfgav1.WriteRequest{StoreId: s.StoreID, AuthorizationModelId: s.ModelID, Deletes: deletes}); err != nil {
			return fmt.Errorf("delete tuples: %w", err)
		}
	}
}

// Audience is what a client of this server asks a token for: its URL with a slash at the end, as at Auth0 FGA.
func (s *Server) Audience() string { return strings.TrimSuffix(s.URL, "/") + "/" }

// Close stops OpenFGA and frees the store.
func (s *Server) Close() error {
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	if s.grpc != nil {
		s.grpc.Stop()
	}
	s.fga.Close()
	s.closeDB()
	return err
}
