package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/steward-iam/steward/infra/fleet"
	"github.com/steward-iam/steward/infra/local/chatclient"
	"github.com/steward-iam/steward/infra/local/run"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/audit"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/dynamo"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/faults"
	"github.com/steward-iam/steward/shared/fake/oktatest"
	"github.com/steward-iam/steward/shared/session"
)

// kind is one sort of change: how it is asked for, on a target of its own, and the entry it leaves in Okta's System Log.
type kind struct {
	operation, event string
	prepare          func(o *oktatest.Org, n int) (say, target string) // target is the id that the event names
}

func person(o *oktatest.Org, n int, s oktatest.Status) (login, id string) {
	login = fmt.Sprintf("target%d@example.com", n)
	return login, o.AddUser("Target", strconv.Itoa(n), login, s)
}

func onPerson(operation, event, say string, s oktatest.Status) kind {
	return kind{operation, event, func(o *oktatest.Org, n int) (string, string) {
		login, id := person(o, n, s)
		return fmt.Sprintf(say, login), id
	}}
}

var kinds = []kind{
	onPerson("reset_password", "user.account.reset_password", "Reset the password of %s", oktatest.Active),
	onPerson("suspend", "user.lifecycle.suspend", "Suspend %s", oktatest.Active),
	{"add_to_group", "group.user_membership.add", func(o *oktatest.Org, n int) (string, string) {
		login, id := person(o, n, oktatest.Active)
		return "Add " + login + " to Contractors", id
	}},
	{"remove_from_group", "group.user_membership.remove", func(o *oktatest.Org, n int) (string, string) {
		login, id := person(o, n, oktatest.Active)
		group := fmt.Sprintf("Squad%d", n)
		o.AddGroup(group, "", oktatest.OktaGroup, id)
		return "Remove " + login + " from " + group, id
	}},
	{"create_group", "group.lifecycle.create", func(_ *oktatest.Org, n int) (string, string) {
		name := fmt.Sprintf("Crew%d", n)
		return "Create a group " + name, name
	}},
	{"delete_group", "group.lifecycle.delete", func(o *oktatest.Org, n int) (string, string) {
		name := fmt.Sprintf("Club%d", n)
		return "Delete the group " + name, o.AddGroup(name, "", oktatest.OktaGroup)
	}},
	onPerson("activate", "user.lifecycle.activate", "Activate %s", oktatest.Staged),
	onPerson("deactivate", "user.lifecycle.deactivate", "Deactivate %s", oktatest.Active),
	onPerson("unlock", "user.account.unlock_by_admin", "Unlock %s", oktatest.LockedOut),
}

// request is one approval in flight, and what its person will do about it.
type request struct {
	kind
	approval.Approval
	actor    string // Okta id of the person
	target   string
	decision string // approve, deny or ignore
}

// TestApprovalsSurviveCrashes kills the worker at random points, before and after what it asks of the outside, while approvals of many
// people are in flight. Each approved change takes effect once, each mail goes out at most once, nothing else happens, nothing is lost.
func TestApprovalsSurviveCrashes(t *testing.T) {
	t.Parallel() // most of it is waiting
	people, each, limit := 10, 4, 150*time.Second
	if os.Getenv("STEWARD_SOAK") == "long" {
		people, limit = 50, 20*time.Minute
	}
	random := seeded(t)
	faster := fleet.Steward()
	faster.Queue.VisibilityTimeout = 3 * time.Second // what a worker that died held comes back sooner
	f := start(t, run.Options{Fleet: faster, PollInterval: time.Second, PushLimit: -1})
	all := ask(t, f, random, people, each)
	begun := time.Now()

	m := &killer{f: f, random: random, most: len(all)}
	m.next()
	f.Proxy.Watch(m.see)
	ended := awaitEnds(t, f, all, m.lastKill, limit)
	f.Proxy.Watch(nil)
	t.Logf("%d approvals ended in %.0f s; the worker was killed %d times: %v", len(all), time.Since(begun).Seconds(), m.kills, m.where)
	if !ended {
		t.Errorf("not all of them ended in %v", limit)
	}
	if m.kills < len(all)/4 {
		t.Errorf("the worker was killed only %d times", m.kills)
	}
	for _, a := range all {
		check(t, f, a)
	}
}

// seeded is a source of chance that can be had again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("STEWARD_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STEWARD_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// admin is a signed-in administrator.
type admin struct {
	chat        *chatclient.Client
	subject, id string
}

// admins are new ones, so that nobody's phone rings too often.
func admins(t *testing.T, f *run.Fleet, n int) (all []admin) {
	t.Helper()
	for i := range n {
		email := fmt.Sprintf("admin%d@example.com", i)
		id := f.Org.AddUser("Admin", strconv.Itoa(i), email, oktatest.Active)
		f.Org.SetRole(id, oktatest.SuperAdmin)
		a := admin{subject: "oidc|okta-corp|" + id, id: id}
		f.Tenant.Configure(func(s *auth0test.Settings) {
			s.People[a.subject] = &auth0test.Person{Sub: a.subject, Email: email, EmailVerified: true, Name: email, OktaUserID: id, PushEnrolled: true}
		})
		f.Tenant.Connect(email)
		change(t, f, "writes", tuple("user:"+email, "admin", "okta:main"))
		a.chat = signIn(t, f, email)
		all = append(all, a)
	}
	return all
}

// ask has new administrators ask for changes in the chat, each on a target of its own.
func ask(t *testing.T, f *run.Fleet, random *rand.Rand, people, each int) (all []*request) {
	t.Helper()
	type errand struct {
		admin
		todo []*request
		say  []string
	}
	var errands []*errand
	for p, admin := range admins(t, f, people) {
		e := &errand{admin: admin}
		for i := range each {
			n := p*each + i
			k := kinds[random.IntN(len(kinds))]
			say, target := k.prepare(f.Org, n)
			a := &request{kind: k, actor: e.id, target: target, decision: []string{"deny", "ignore", "approve", "approve", "approve", "approve"}[random.IntN(6)]}
			e.todo, e.say, all = append(e.todo, a), append(e.say, say), append(all, a)
		}
		errands = append(errands, e)
	}
	r := tables(f)
	var group sync.WaitGroup
	for _, e := range errands {
		group.Go(func() {
			for i, a := range e.todo {
				answer, err := e.chat.Say(t.Context(), e.say[i])
				if err != nil || len(answer.Approvals) != 1 {
					t.Errorf("%s: got %+v, %v, want one approval", e.say[i], answer, err)
					continue
				}
				for _, row := range r.of(t, e.subject) {
					if row.ID == answer.Approvals[0].ID {
						a.Approval = row
					}
				}
				if a.decision == "ignore" {
					r.expireAt(t, &a.Approval, time.Now().Add(10*time.Second))
				}
			}
		})
	}
	if group.Wait(); t.Failed() {
		t.FailNow()
	}
	return all
}

// expireAt gives an approval less time than the five minutes it has, as Auth0 does that answers with a shorter one.
func (r rows) expireAt(t *testing.T, a *approval.Approval, until time.Time) {
	a.RequestExpiresAt = until
	r.update(t, *a, "request_expires_at = :expires", "digest = :digest", map[string]types.AttributeValue{
		":expires": millis(until), ":digest": &types.AttributeValueMemberS{Value: a.Digest},
	})
}

// killer kills the worker at the k-th request that anything makes, before or after it takes effect. Nobody but the worker, and the
// authorizer for it, makes requests meanwhile.
type killer struct {
	f *run.Fleet

	mu     sync.Mutex
	random *rand.Rand
	left   int  // requests until the next one
	okta   bool // and then the next that Okta gets, where it matters most
	after  bool
	most   int // kills; then the rest may end in peace
	kills  int
	last   time.Time
	where  map[string]int
}

func (m *killer) next() {
	m.left, m.okta, m.after = 1+m.random.IntN(60), m.random.IntN(3) == 0, m.random.IntN(2) == 1
}

func (m *killer) see(service string, after bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left--; m.left > 0 || after != m.after || m.kills == m.most || m.okta && service != faults.Okta {
		return
	}
	if m.f.Lambda.Kill(fleet.ApprovalWorker) == 0 {
		return
	}
	m.kills++
	m.last = time.Now()
	if m.where == nil {
		m.where = map[string]int{}
	}
	m.where[service+map[bool]string{true: " after", false: " before"}[after]]++
	m.next()
}

func (m *killer) lastKill() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// lease is what the worker takes when it claims. It is longer than a worker may run, so that nobody takes over from one that lives.
const lease = time.Minute

// awaitEnds answers the phones, lets the leases of the dead run out, and waits until all is over. A person whose answer was lost with
// the worker is asked again, and answers the same.
func awaitEnds(t *testing.T, f *run.Fleet, all []*request, lastKill func() time.Time, limit time.Duration) bool {
	t.Helper()
	r := tables(f)
	byCode := map[string]*request{}
	subjects := map[session.Subject]bool{}
	for _, a := range all {
		byCode[string(a.Owner)+"#"+a.Code] = a
		subjects[a.Owner] = true
	}
	records := dynamo.NewAudit(r.Client, "steward-audit", nil)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(150 * time.Millisecond) {
		for _, p := range f.Tenant.Pushes() {
			_, code, _ := strings.Cut(p.BindingMessage, ". Code ")
			if a := byCode[p.User+"#"+code]; a != nil && p.Status == "pending" && a.decision != "ignore" {
				if err := f.Tenant.Decide(p.ID, a.decision); err != nil {
					t.Error(err)
				}
			}
		}
		open := 0
		for s := range subjects {
			recorded := map[string]bool{}
			trail, err := records.BySubject(t.Context(), s, 200)
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range trail {
				if record.Kind == audit.Outcome {
					recorded[record.ApprovalID+" "+string(record.Result)] = true
				}
			}
			for _, row := range r.of(t, string(s)) {
				if dead := lastKill(); row.Status == approval.Executing && row.ClaimedUntil.Add(-lease).Before(dead) && row.ClaimedUntil.After(time.Now()) {
					r.update(t, row, "claimed_until = :now", "claimed_until = :was", map[string]types.AttributeValue{
						":now": millis(time.Now()), ":was": millis(row.ClaimedUntil),
					})
				}
				if !row.Status.Final() || !recorded[row.ID+" "+strings.Replace(string(row.Status), string(approval.Denied), string(audit.Refused), 1)] {
					open++
				}
			}
		}
		if open == 0 {
			return true
		}
	}
	return false
}

// check holds the end of one approval to what happened in Okta.
func check(t *testing.T, f *run.Fleet, a *request) {
	t.Helper()
	index := slices.IndexFunc(tables(f).of(t, string(a.Owner)), func(row approval.Approval) bool { return row.ID == a.ID })
	if index < 0 {
		t.Errorf("approval %s is lost", a.ID)
		return
	}
	end := tables(f).of(t, string(a.Owner))[index]
	var effects []oktatest.Event
	for _, e := range f.Org.Events() {
		hit := e.Type == a.event && slices.Contains(e.Targets, a.target)
		if a.operation == "create_group" {
			hit = e.Type == a.event && slices.ContainsFunc(e.Targets, func(id string) bool { return f.Org.GroupName(id) == a.target })
		}
		if hit {
			effects = append(effects, e)
		}
	}
	op, _ := catalogue.OperationByID(a.operation)
	var fault error
	switch end.Status {
	case approval.Done:
		if a.decision != "approve" || len(effects) != 1 || effects[0].Actor != a.actor {
			fault = errors.New("want approved, and one effect by that person")
		}
	case approval.Unknown:
		if a.decision != "approve" || op.Idempotent || len(effects) > 1 {
			fault = errors.New("want approved, not idempotent, and one effect at most")
		}
	case approval.Failed:
		if len(effects) != 0 || !strings.Contains(end.Result, "othing was changed") || inside.MatchString(end.Result) {
			fault = errors.New("want no effect, and the reason in a sentence")
		}
	case approval.Denied:
		if a.decision != "deny" || len(effects) != 0 {
			fault = errors.New("want denied on the phone, and no effect")
		}
	case approval.Expired:
		if a.decision != "ignore" || len(effects) != 0 {
			fault = errors.New("want nobody to have answered, and no effect")
		}
	default:
		fault = errors.New("want it to have ended")
	}
	for _, mail := range []oktatest.MailKind{oktatest.MailResetPassword, oktatest.MailActivation} {
		if n := f.Org.MailCount(a.target, mail); n > 1 || n > len(effects) {
			fault = errors.Join(fault, fmt.Errorf("%d mails", n))
		}
	}
	if fault != nil {
		t.Errorf("%s on %s, %s: ended as %s (%q) with effects %+v: %v", a.operation, a.target, a.decision, end.Status, end.Result, effects, fault)
	}
}
