package openfga

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	sdk "github.com/openfga/go-sdk"
	"github.com/openfga/go-sdk/client"
	"gopkg.in/yaml.v3"

	"github.com/steward-iam/steward/shared/fga"
	"github.com/steward-iam/steward/shared/fga/model"
)

// storeFile is the part of the fga command's test format that store.fga.yaml uses.
type storeFile struct {
	TupleFile string      `yaml:"tuple_file"`
	Tests     []storeTest `yaml:"tests"`
}

type storeTest struct {
	Name   string      `yaml:"name"`
	Tuples []fga.Tuple `yaml:"tuples"`
	Check  []struct {
		User       string          `yaml:"user"`
		Users      []string        `yaml:"users"`
		Object     string          `yaml:"object"`
		Objects    []string        `yaml:"objects"`
		Assertions map[string]bool `yaml:"assertions"`
	} `yaml:"check"`
	ListObjects []struct {
		User       string              `yaml:"user"`
		Type       string              `yaml:"type"`
		Assertions map[string][]string `yaml:"assertions"`
	} `yaml:"list_objects"`
	ListUsers []struct {
		Object     string `yaml:"object"`
		UserFilter []struct {
			Type string `yaml:"type"`
		} `yaml:"user_filter"`
		Assertions map[string]struct {
			Users []string `yaml:"users"`
		} `yaml:"assertions"`
	} `yaml:"list_users"`
}

func readStoreFile(t *testing.T) storeFile {
	t.Helper()
	var f storeFile
	if err := yaml.Unmarshal(model.Tests, &f); err != nil {
		t.Fatalf("store.fga.yaml: %v", err)
	}
	return f
}

// start runs a server on a free port for the length of the test.
func start(t *testing.T, opts Options) *Server {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	s, err := New(t.Context(), "http://"+front.Listener.Addr().String(), opts)
	if err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = s
	front.Start()
	t.Cleanup(front.Close)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// vendorClient is a client we did not write: the vendor's SDK as its documentation sets it up.
func vendorClient(t *testing.T, s *Server) *client.OpenFgaClient {
	t.Helper()
	c, err := client.NewSdkClient(&client.ClientConfiguration{ApiUrl: s.URL, StoreId: s.StoreID, AuthorizationModelId: s.ModelID})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStoreFileHolds puts store.fga.yaml to the server through the vendor's SDK.
func TestStoreFileHolds(t *testing.T) {
	demo, err := os.ReadFile(filepath.Join("../../../shared/fga/model", readStoreFile(t).TupleFile))
	if err != nil {
		t.Fatal(err)
	}
	var named []fga.Tuple
	if err := json.Unmarshal(demo, &named); err != nil {
		t.Fatal(err)
	}
	seeded, err := model.DemoTuples()
	if err != nil || !slices.Equal(named, seeded) {
		t.Fatalf("DemoTuples() = %v, %v; store.fga.yaml names %v", seeded, err, named)
	}
	asked := 0
	for _, test := range readStoreFile(t).Tests {
		t.Run(test.Name, func(t *testing.T) {
			c := vendorClient(t, start(t, Options{Tuples: append(slices.Clone(seeded), test.Tuples...)}))
			for _, check := range test.Check {
				for _, user := range append(check.Users, check.User) {
					for _, object := range append(check.Objects, check.Object) {
						if user == "" || object == "" {
							continue
						}
						for relation, want := range check.Assertions {
							asked++
							got, err := c.Check(t.Context()).Body(client.ClientCheckRequest{User: user, Relation: relation, Object: object}).Execute()
							if err != nil || got.GetAllowed() != want {
								t.Errorf("check %s %s %s = %v, %v, want %v", user, relation, object, got.GetAllowed(), err, want)
							}
						}
					}
				}
			}
			for _, list := range test.ListObjects {
				for relation, want := range list.Assertions {
					asked++
					got, err := c.ListObjects(t.Context()).Body(client.ClientListObjectsRequest{User: list.User, Relation: relation, Type: list.Type}).Execute()
					if err != nil || !sameSet(got.GetObjects(), want) {
						t.Errorf("list objects %s %s %s = %v, %v, want %v", list.User, relation, list.Type, got.GetObjects(), err, want)
					}
				}
			}
			for _, list := range test.ListUsers {
				for relation, want := range list.Assertions {
					asked++
					typ, id := list.Object[:len(list.Object)-len(after(list.Object))-1], after(list.Object)
					got, err := c.ListUsers(t.Context()).Body(client.ClientListUsersRequest{
						Object: sdk.FgaObject{Type: typ, Id: id}, Relation: relation,
						UserFilters: []sdk.UserTypeFilter{{Type: list.UserFilter[0].Type}},
					}).Execute()
					var users []string
					for _, u := range got.GetUsers() {
						users = append(users, u.Object.Type+":"+u.Object.Id)
					}
					if err != nil || !sameSet(users, want.Users) {
						t.Errorf("list users of %s %s = %v, %v, want %v", list.Object, relation, users, err, want.Users)
					}
				}
			}
		})
	}
	if asked < 150 {
		t.Errorf("only %d questions were asked; is the file still read?", asked)
	}
}

// TestEveryRelationIsTested holds store.fga.yaml to the model: each relation is asserted as true and as false, but for
// the plain links, which only carry other relations.
func TestEveryRelationIsTested(t *testing.T) {
	seen := map[string]map[bool]bool{}
	for _, test := range readStoreFile(t).Tests {
		for _, check := range test.Check {
			for _, object := range append(check.Objects, check.Object) {
				if object == "" {
					continue
				}
				typ := object[:len(object)-len(after(object))-1]
				for relation, want := range check.Assertions {
					key := typ + "#" + relation
					if seen[key] == nil {
						seen[key] = map[bool]bool{}
					}
					seen[key][want] = true
				}
			}
		}
	}
	var m struct {
		Types []struct {
			Type      string                     `json:"type"`
			Relations map[string]json.RawMessage `json:"relations"`
		} `json:"type_definitions"`
	}
	if err := json.Unmarshal(model.JSON, &m); err != nil {
		t.Fatal(err)
	}
	links := []string{"org", "groups", "users"}
	for _, typ := range m.Types {
		for relation := range typ.Relations {
			key := typ.Type + "#" + relation
			if !slices.Contains(links, relation) && (!seen[key][true] || !seen[key][false]) {
				t.Errorf("%s is asserted %v, want true and false", key, seen[key])
			}
		}
	}
}

func after(object string) string {
	for i := range object {
		if object[i] == ':' {
			return object[i+1:]
		}
	}
	return object
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
