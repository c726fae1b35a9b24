// Package iam refuses the calls of AWS that a function of the laptop run has no permission for.
//
// It stands in front of the AWS fakes. A call that is signed with a function's access key becomes what IAM would be asked, one
// or several actions on resources, and is refused in the service's own words unless the role has them all; what has no name here
// is refused too. The key id alone tells who calls: signatures are not checked, and calls that are unsigned or signed with
// anybody else's key pass, such as a developer's from the AWS CLI.
//
// Sources: Service Authorization Reference; "Using IAM with DynamoDB transactions" in the DynamoDB Developer Guide, by which a
// transaction needs the actions of its parts; "Amazon SQS API permissions" in the SQS Developer Guide, by which a batch needs the
// action of one; harness security in the AgentCore Developer Guide, by which InvokeHarness needs InvokeAgentRuntime as well.
//
// A permission of DynamoDB may be limited to attributes, as by the condition keys dynamodb:Attributes, dynamodb:Select and
// dynamodb:ReturnValues ("Using IAM policy conditions for fine-grained access control" in the DynamoDB Developer Guide). Then
// every attribute that a request names counts, in its item, key or expressions, those of conditions and the keys included; and
// an answer with whole items is refused.
//
// It knows no other conditions, no wildcards, denials or policies of resources, and nothing of KMS, which functions reach through
// other services only.
package iam

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/steward-iam/steward/shared/fake/awstest"
)

// Permission is one action on one resource.
type Permission struct{ Action, Resource string }

// Role is what a function may do, and the id of the access key that is made for it.
type Role struct {
	Function, AccessKeyID string
	Permissions           []Permission
	// Attributes are those that a permission is limited to; one that is not here is not limited.
	Attributes map[Permission][]string
}

// need is what a request needs: a permission, for some attributes of a table.
type need struct {
	Permission
	attributes []string
	whole      bool // the answer holds whole items, whatever attributes the request names
}

func (r Role) allows(n need) bool {
	if !slices.Contains(r.Permissions, n.Permission) {
		return false
	}
	limit, limited := r.Attributes[n.Permission]
	return !limited || !n.whole && !slices.ContainsFunc(n.attributes, func(name string) bool { return !slices.Contains(limit, name) })
}

// Call is what a function did, or tried.
type Call struct {
	Function string
	Permission
}

// Roles are the roles of one account in one region.
type Roles struct {
	region, account string
	log             *slog.Logger
	byKey           map[string]Role

	mu         sync.Mutex
	calls      map[Call]bool
	attributes map[Call]map[string]bool
}

// New makes the roles of an account.
func New(region, account string, log *slog.Logger, roles ...Role) *Roles {
	all := &Roles{region: region, account: account, log: log, byKey: map[string]Role{}, calls: map[Call]bool{}, attributes: map[Call]map[string]bool{}}
	for _, r := range roles {
		all.byKey[r.AccessKeyID] = r
	}
	return all
}

// Calls are the calls of the functions so far, each with whether it was allowed.
func (a *Roles) Calls() map[Call]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.calls)
}

// Permissions are all that the functions may do, each true, so that they compare with [Roles.Calls].
func (a *Roles) Permissions() map[Call]bool {
	all := map[Call]bool{}
	for _, role := range a.byKey {
		for _, p := range role.Permissions {
			all[Call{role.Function, p}] = true
		}
	}
	return all
}

// Attributes are those that the functions' requests to DynamoDB have named so far, allowed or not, in order.
func (a *Roles) Attributes() map[Call][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[Call][]string{}
	for call, names := range a.attributes {
		all[call] = slices.Sorted(maps.Keys(names))
	}
	return all
}

// Allow decides on a call that is made with an access key, and notes it.
func (a *Roles) Allow(accessKeyID string, p Permission) bool {
	return a.decide(a.byKey[accessKeyID], need{Permission: p})
}

func (a *Roles) decide(role Role, n need) bool {
	allowed := role.allows(n)
	call := Call{role.Function, n.Permission}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[call] = allowed
	for _, name := range n.attributes {
		if a.attributes[call] == nil {
			a.attributes[call] = map[string]bool{}
		}
		a.attributes[call][name] = true
	}
	return allowed
}

// Wrap puts the roles in front of AWS.
func (a *Roles) Wrap(next http.Handler) http.Handler {
	rest := http.NewServeMux()
	on := func(pattern string, needs func(r *http.Request) []need) {
		rest.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.pass(w, r, next, needs(r)) })
	}
	on("POST /2015-03-31/functions/{name}/invocations", func(r *http.Request) []need {
		function := r.PathValue("name")
		if !strings.HasPrefix(function, "arn:") {
			function = a.arn("lambda", "function:"+function)
		}
		return []need{only("lambda:InvokeFunction", function)}
	})
	on("POST /agents/{agent}/agentAliases/{alias}/sessions/{session}/text", func(r *http.Request) []need {
		return []need{only("bedrock:InvokeAgent", a.arn("bedrock", "agent-alias/"+r.PathValue("agent")+"/"+r.PathValue("alias")))}
	})
	on("POST /harnesses/invoke", func(r *http.Request) []need {
		harness := r.URL.Query().Get("harnessArn")
		return []need{only("bedrock-agentcore:InvokeHarness", harness), only("bedrock-agentcore:InvokeAgentRuntime", harness)}
	})
	on("POST /runtimes/{arn}/stopruntimesession", func(r *http.Request) []need {
		return []need{only("bedrock-agentcore:StopRuntimeSession", r.PathValue("arn"))}
	})
	on("/", func(r *http.Request) []need { return []need{only(r.Method+" "+r.URL.Path, "*")} })

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, signed := a.caller(r)
		switch target := r.Header.Get("X-Amz-Target"); {
		case !signed:
			next.ServeHTTP(w, r)
		case target != "": // whatever the path: so decide the services
			a.pass(w, r, next, a.needs(r, target))
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// caller is whose key signed the request.
func (a *Roles) caller(r *http.Request) (Role, bool) {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(credential, "/")
	role, ok := a.byKey[id]
	return role, ok
}

func (a *Roles) pass(w http.ResponseWriter, r *http.Request, next http.Handler, needs []need) {
	role, _ := a.caller(r)
	for _, p := range needs {
		if !a.decide(role, p) {
			a.log.WarnContext(r.Context(), "access denied", "function", role.Function, "action", p.Action, "resource", p.Resource, "attributes", p.attributes)
			refuse(w, r, fmt.Sprintf("User: arn:aws:sts::%s:assumed-role/%s/%s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
				a.account, role.Function, role.Function, p.Action, p.Resource, p.Action))
			return
		}
	}
	next.ServeHTTP(w, r)
}

// services are the prefixes of actions by those of X-Amz-Target.
var services = map[string]string{
	"DynamoDB_20120810": "dynamodb",
	"AmazonSQS":         "sqs",
	"secretsmanager":    "secretsmanager",
	"AmazonSSM":         "ssm",
}

func only(action, resource string) need { return need{Permission: Permission{action, resource}} }

// access is a request to DynamoDB, or a part of a transaction. Its older parameters are not those of our clients, and give
// attributes that nobody may use.
type access struct {
	TableName, IndexName                                                                                  string
	Item, Key                                                                                             map[string]json.RawMessage
	UpdateExpression, ConditionExpression, ProjectionExpression, KeyConditionExpression, FilterExpression string
	ExpressionAttributeNames                                                                              map[string]string
	AttributesToGet, AttributeUpdates, Expected                                                           json.RawMessage
	ReturnValues                                                                                          string
}

// attributes are all that the request names.
func (x access) attributes() []string {
	names := slices.Concat(slices.Collect(maps.Keys(x.Item)), slices.Collect(maps.Keys(x.Key)))
	for _, expression := range []string{x.UpdateExpression, x.ConditionExpression, x.ProjectionExpression, x.KeyConditionExpression, x.FilterExpression} {
		names = append(names, awstest.AttributeNames(expression, x.ExpressionAttributeNames)...)
	}
	if len(x.AttributesToGet)+len(x.AttributeUpdates)+len(x.Expected) > 0 {
		names = append(names, "(by an older parameter)")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// whole says whether the answer to an operation holds whole items.
func (x access) whole(operation string) bool {
	switch operation {
	case "GetItem", "Query", "Scan", "BatchGetItem":
		return x.ProjectionExpression == ""
	default:
		return strings.HasPrefix(x.ReturnValues, "ALL_")
	}
}

// needs reads a call of AWS JSON and leaves its body as it was.
func (a *Roles) needs(r *http.Request, target string) []need {
	body, err := io.ReadAll(r.Body)
	if err != nil || int64(len(body)) < r.ContentLength {
		panic(http.ErrAbortHandler) // the caller is gone in the middle of it: no call has been made
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		access
		TransactItems []map[string]access // by Put, Update, Delete, ConditionCheck or Get
		QueueURL      string              `json:"QueueUrl"`
		SecretID      string              `json:"SecretId"`
		Name          string
	}
	_ = json.Unmarshal(body, &in) // what is not JSON names no resource

	prefix, operation, _ := strings.Cut(target, ".")
	service := services[prefix]
	one := func(resource string) []need { return []need{only(service+":"+operation, resource)} }
	on := func(operation string, x access) need {
		resource := a.arn(service, "table/"+x.TableName)
		if x.IndexName != "" {
			resource += "/index/" + x.IndexName
		}
		return need{Permission{service + ":" + operation, resource}, x.attributes(), x.whole(operation)}
	}
	switch {
	case service == "dynamodb" && strings.HasPrefix(operation, "Transact") && len(in.TransactItems) > 0:
		var parts []need
		for _, item := range in.TransactItems {
			for kind, x := range item {
				parts = append(parts, on(kind+"Item", x))
			}
		}
		return parts
	case service == "dynamodb":
		return []need{on(operation, in.access)}
	case service == "sqs":
		operation = strings.TrimSuffix(operation, "Batch")
		return one(a.arn(service, in.QueueURL[strings.LastIndexByte(in.QueueURL, '/')+1:]))
	case service == "secretsmanager": // its ARN: six characters of it nobody can derive from a name
		return one(in.SecretID)
	case service == "ssm":
		return one(a.arn(service, "parameter/"+strings.TrimPrefix(in.Name, "/")))
	}
	return []need{only(target, "*")}
}

func (a *Roles) arn(service, rest string) string {
	return "arn:aws:" + service + ":" + a.region + ":" + a.account + ":" + rest
}

// refuse answers as the service does that was called.
func refuse(w http.ResponseWriter, r *http.Request, message string) {
	const code = "AccessDeniedException"
	answer, status := map[string]string{"message": message}, http.StatusForbidden
	switch prefix, _, isJSON := strings.Cut(r.Header.Get("X-Amz-Target"), "."); {
	case prefix == "AmazonSQS": // which keeps the code and the status of its older protocol
		answer["__type"] = "com.amazon.coral.service#" + code
		w.Header().Set("X-Amzn-Query-Error", "AccessDenied;Sender")
	case isJSON:
		answer["__type"], status = code, http.StatusBadRequest
	default:
		w.Header().Set("X-Amzn-Errortype", code)
	}
	body, _ := json.Marshal(answer) // strings always encode
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
