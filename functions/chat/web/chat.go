package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steward-iam/steward/shared/agent"
	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/session"
	"github.com/steward-iam/steward/shared/tokenvault"
)

const (
	eventStream = "text/event-stream"
	maxMessage  = 8 << 10 // bytes of a question
	maxBody     = 1 << 20 // read before refusing, so that the refusal reaches whoever sends more than a question
	longestTurn = 110 * time.Second
	turnLease   = 2 * time.Minute // the function's own time-out
	reserve     = 3 * time.Second // left of the function's own time, to say that it ran out
	heartbeat   = 10 * time.Second
)

// chat answers one question as a stream of events.
func (a *App) chat(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	message, err := question(r)
	if err == nil {
		err = a.using.check(l.Key, a.Now())
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, cancel := turnContext(r.Context())
	defer cancel()
	endTurn, err := a.startTurn(ctx, l)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer endTurn()
	var before []approval.Approval
	err = together([]func() error{
		func() error { return a.count(ctx, l.Owner.Subject, questionsAMinute, questionsADay) },
		func() (err error) {
			before, err = a.Approvals.ByOwner(ctx, l.Owner.Subject, maxApprovals)
			return err
		},
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}

	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("X-Accel-Buffering", "no")
	s := &stream{w: w, gone: cancel}
	s.comment("open") // the browser sees the headers now, not with the first word
	defer s.beat(ctx)()

	err = a.turn(ctx, l, message, before, s)
	if err != nil && !s.broken() {
		if ctx.Err() != nil && !errors.Is(r.Context().Err(), context.Canceled) {
			err = fault.New(fault.Upstream, "That took too long, so I stopped. Please try again.", err)
		}
		_ = s.send("error", a.spoken(r.Context(), err))
	}
	endTurn() // first, since the next question may follow at once
	_ = s.send("done", struct{}{})
}

// startTurn reserves the one running turn of the login: a turn keeps a whole instance of the function busy, so nobody may run many
// side by side. The reservation outlives the longest turn by a little, and ends by itself where a process died.
func (a *App) startTurn(ctx context.Context, l session.Login) (end func(), err error) {
	now := a.Now()
	token, err := a.Sessions.TakeTurn(ctx, l.Key, now, now.Add(turnLease))
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reserve-time.Second)
		defer cancel()
		if err := a.Sessions.EndTurn(ctx, l.Key, token); err != nil {
			fault.Answer(ctx, a.Log, err)
		}
	}), nil
}

// question reads the body of a question.
func question(r *http.Request) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", limited(http.StatusUnsupportedMediaType, "A question is sent as application/json.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return "", fault.New(fault.Invalid, "The question did not arrive whole. Please send it again.", err)
	}
	tooLong := limited(http.StatusRequestEntityTooLarge, "That message is too long: "+strconv.Itoa(maxMessage/1024)+" KB is the most. Please ask in fewer words.")
	if len(body) >= 8*maxMessage { // JSON may escape every character
		return "", tooLong
	}
	var in struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", fault.New(fault.Invalid, `A question looks like {"message":"…"}.`, errors.New("body is not the JSON it should be"))
	}
	message := strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			return -1
		}
		return c
	}, strings.ToValidUTF8(in.Message, "�")))
	switch {
	case len(message) > maxMessage:
		return "", tooLong
	case message == "":
		return "", fault.New(fault.Invalid, "There is no question in the message.", nil)
	}
	return message, nil
}

func turnContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-reserve))
	}
	return context.WithTimeout(ctx, longestTurn)
}

// turn lets the agent answer and passes every piece on at once. Approvals that start meanwhile are shown as they start.
func (a *App) turn(ctx context.Context, l session.Login, message string, before []approval.Approval, s *stream) error {
	seen := newSeen(before)
	facts, told := a.told.news(l.Current, before)
	var looking sync.WaitGroup
	look := func() {
		all, err := a.Approvals.ByOwner(ctx, l.Owner.Subject, maxApprovals)
		if err != nil {
			fault.Answer(ctx, a.Log, err) // the page asks for itself soon
			return
		}
		for _, ap := range seen.fresh(all) {
			a.told.tell(l.Current, ap) // the agent has just been told by its function
			_ = s.send("approval", card(ap, l.Owner))
		}
	}
	var err error
	for e, failed := range a.Agent.Run(ctx, agent.Turn{SessionID: string(l.Current), Message: message, Facts: facts}) {
		if err = failed; err == nil {
			switch e := e.(type) {
			case agent.Text:
				err = s.send("text", piece{e.Text})
			case agent.Trace:
				if e.ActionGroup == catalogue.GroupCIBA && (e.Step == agent.StepResult || e.Step == agent.StepReprompt) {
					looking.Go(look)
				}
				err = s.send("trace", step(e))
			}
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		told()
	}
	looking.Wait()
	if !s.broken() && ctx.Err() == nil {
		look()
	}
	return err
}

// piece is the event "text".
type piece struct {
	Text string `json:"text"`
}

// traceStep is the event "trace": a line of "how I got this".
type traceStep struct {
	Step         string  `json:"step"`
	Title        string  `json:"title"`
	Text         string  `json:"text,omitempty"`
	Function     string  `json:"function,omitempty"`
	Parameters   []param `json:"parameters,omitempty"`
	InputTokens  int     `json:"input_tokens,omitempty"`
	OutputTokens int     `json:"output_tokens,omitempty"`
	Milliseconds int64   `json:"ms,omitempty"`
	Connect      bool    `json:"connect,omitempty"` // a function found that Okta is not connected (any more)
}

type param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func step(t agent.Trace) traceStep {
	s := traceStep{
		Step: string(t.Step), Title: stepTitle(t), Text: t.Text, Function: t.Function,
		InputTokens: t.InputTokens, OutputTokens: t.OutputTokens, Milliseconds: t.Duration.Milliseconds(),
	}
	if missing, ok := errors.AsType[*fault.Error](tokenvault.NotConnected(nil)); ok {
		s.Connect = strings.Contains(t.Text, missing.Say)
	}
	for _, p := range t.Parameters {
		s.Parameters = append(s.Parameters, param(p))
	}
	return s
}

func stepTitle(t agent.Trace) string {
	switch t.Step {
	case agent.StepModel:
		return "Model"
	case agent.StepRationale:
		return "Reasoning"
	case agent.StepCall:
		return sentence(t.Function)
	case agent.StepResult:
		return "Result"
	case agent.StepReprompt:
		return "Not done that way"
	case agent.StepGuardrail:
		return "Guardrail"
	case agent.StepFailure:
		return "A step failed"
	}
	return "Step"
}

// newChat starts a new conversation: a session of its own, so that the agent knows nothing of the last one.
func (a *App) newChat(w http.ResponseWriter, r *http.Request) {
	l, err := a.who(r)
	if err == nil {
		err = a.count(r.Context(), l.Owner.Subject, newChats)
	}
	if err == nil {
		err = a.renew(r.Context(), l)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *App) renew(ctx context.Context, l session.Login) error {
	old, refresh, err := a.refreshToken(ctx, l)
	if err != nil {
		return err
	}
	if len(l.Sessions) >= maxSessions {
		return fault.New(fault.Conflict, "That is a lot of conversations for one sign-in. Please sign out and in again.", nil)
	}
	l.Current = session.NewID()
	if err := a.openSession(ctx, l, session.FrontChat, refresh); err != nil {
		return err
	}
	// The last conversation's session stays: what waits for approval there still needs it.
	if err := a.Sessions.SetCurrent(ctx, l.Key, l.Current); err != nil {
		return err
	}
	if err := a.Agent.End(ctx, string(old.ID)); err != nil {
		fault.Answer(ctx, a.Log, err) // it forgets by itself when idle
	}
	return nil
}

// stream writes server-sent events (HTML, "Server-sent events"), each flushed at once.
type stream struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	gone context.CancelFunc // called when nobody reads any more
	err  error
}

func (s *stream) send(event string, v any) error {
	data, err := json.Marshal(v) // one line: JSON escapes line breaks
	if err != nil {
		return err
	}
	out := make([]byte, 0, len(event)+len(data)+len("event: \ndata: \n\n"))
	out = append(out, "event: "...)
	out = append(out, event...)
	out = append(out, "\ndata: "...)
	out = append(out, data...)
	out = append(out, "\n\n"...)
	return s.write(out)
}

func (s *stream) comment(text string) { _ = s.write([]byte(": " + text + "\n\n")) }

func (s *stream) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	_, err := s.w.Write(p)
	if err == nil {
		// Under lambdaurl a write goes out by itself, and there is nothing to flush.
		if err = http.NewResponseController(s.w).Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err != nil {
		s.err = err
		if s.gone != nil {
			s.gone()
		}
	}
	return err
}

func (s *stream) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// beat keeps the connection from looking idle while a tool works. The returned func ends it.
func (s *stream) beat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.comment("still here")
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// clip shortens a text to one line of at most n characters.
func clip(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
