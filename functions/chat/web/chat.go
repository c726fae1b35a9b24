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
	"github.com/steward-iam/steward/shared/parallel"
	"github.com/steward-iam/steward/shared/session"
)

const (
	eventStream = "text/event-stream"
	maxMessage  = 8 << 10 // bytes of a question
	maxBody     = 1 << 20 // bytes read of a body that is too long, so that the browser gets to read the answer
	longestTurn = 110 * time.Second
	turnLease   = 2 * time.Minute // the function's own time-out
	reserve     = 3 * time.Second // left before the function's time-out, to answer that the turn took too long
	heartbeat   = 10 * time.Second
)

// chat answers one question as a stream of events.
func (a *App) chat(w http.ResponseWriter, r *http.Request, l session.Login) error {
	message, err := question(r)
	if err != nil {
		return err
	}
	ctx, cancel := turnContext(r.Context())
	defer cancel()
	endTurn, err := a.startTurn(ctx, l)
	if err != nil {
		return err
	}
	defer endTurn()
	var before []approval.Approval
	err = parallel.Do(
		func() error { return a.count(ctx, l.Owner.Subject, questionsAMinute, questionsADay) },
		func() (err error) {
			before, err = a.Approvals.ByOwner(ctx, l.Owner.Subject, maxApprovals)
			return err
		},
	)
	if err != nil {
		return err
	}

	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("X-Accel-Buffering", "no")
	s := &stream{w: w, cancel: cancel}
	s.comment("open") // sends the headers before the first word
	defer s.keepAlive(ctx)()

	end, err := a.turn(ctx, l, message, before, s)
	if err != nil && !s.broken() {
		if ctx.Err() != nil && !errors.Is(r.Context().Err(), context.Canceled) {
			err = fault.New(fault.Upstream, "That took too long, so I stopped. Please try again.", err)
		}
		_ = s.send("error", a.logError(r.Context(), err))
	}
	endTurn() // before "done", as the next question may follow at once
	_ = s.send("done", end)
	return nil
}

// startTurn reserves the one running turn of the login, as each turn keeps an instance of the function busy. The reservation ends
// with the returned function, or after turnLease if the process died.
func (a *App) startTurn(ctx context.Context, l session.Login) (end func(), err error) {
	now := a.Now()
	token, err := a.Sessions.ReserveTurn(ctx, l.Key, now, now.Add(turnLease))
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

// question returns the message of a request.
func question(r *http.Request) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", limited(http.StatusUnsupportedMediaType, "Please send the question as application/json.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return "", fault.New(fault.Invalid, "Your question did not arrive completely. Please send it again.", err)
	}
	tooLong := limited(http.StatusRequestEntityTooLarge, "Your message is longer than "+strconv.Itoa(maxMessage/1024)+" KB. Please ask in fewer words.")
	if len(body) >= 8*maxMessage { // JSON may escape every character
		return "", tooLong
	}
	var in struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", fault.New(fault.Invalid, `Please send the question as {"message":"…"}.`, errors.New("body is not the JSON it should be"))
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
		return "", fault.New(fault.Invalid, "Your message is empty. Please type a question.", nil)
	}
	return message, nil
}

func turnContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-reserve))
	}
	return context.WithTimeout(ctx, longestTurn)
}

// turn runs one turn of the agent and sends every event as it comes. Approvals that start during the turn are sent too.
func (a *App) turn(ctx context.Context, l session.Login, message string, before []approval.Approval, s *stream) (end turnEnd, err error) {
	shown := newShownApprovals(before)
	facts, reported := a.reports.changes(l.Current, before)
	var background sync.WaitGroup
	sendApprovals := func() {
		all, err := a.Approvals.ByOwner(ctx, l.Owner.Subject, maxApprovals)
		if err != nil {
			fault.Answer(ctx, a.Log, err) // the page polls for approvals soon
			return
		}
		for _, ap := range shown.add(all) {
			a.reports.add(l.Current, ap) // the agent has it from its function
			_ = s.send("approval", card(ap, l.Owner))
		}
	}
	refused := false
	for e, failed := range a.Agent.Run(ctx, agent.Turn{SessionID: string(l.Current), Message: message, Facts: facts}) {
		if err = failed; err == nil {
			switch e := e.(type) {
			case agent.Text:
				err = s.send("text", textPiece{e.Text})
			case agent.Trace:
				if e.ActionGroup == catalogue.GroupCIBA && (e.Step == agent.StepResult || e.Step == agent.StepReprompt) {
					background.Go(sendApprovals)
				}
				refused = refused || e.Step == agent.StepReprompt
				end.Connect = end.Connect || e.Action == fault.ConnectOkta
				err = s.send("trace", step(e))
			}
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		reported()
	}
	background.Wait()
	if !s.broken() && ctx.Err() == nil {
		sendApprovals()
		if refused && !end.Connect { // Classic does not pass on the action of a refusal
			end.Connect = a.okta(ctx, l).State == oktaMissing
		}
	}
	return end, err
}

// textPiece is the data of the event "text".
type textPiece struct {
	Text string `json:"text"`
}

// turnEnd is the data of the event "done".
type turnEnd struct {
	Connect bool `json:"connect,omitempty"` // the page offers to connect Okta
}

// traceStep is the data of the event "trace": a line of "How I got this".
type traceStep struct {
	Step         string  `json:"step"`
	Title        string  `json:"title"`
	Text         string  `json:"text,omitempty"`
	Function     string  `json:"function,omitempty"`
	Parameters   []param `json:"parameters,omitempty"`
	InputTokens  int     `json:"input_tokens,omitempty"`
	OutputTokens int     `json:"output_tokens,omitempty"`
	Milliseconds int64   `json:"ms,omitempty"`
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
		return operationName(t.Function)
	case agent.StepResult:
		return "Result"
	case agent.StepReprompt:
		return "Refused"
	case agent.StepGuardrail:
		return "Guardrail"
	case agent.StepFailure:
		return "A step failed"
	}
	return "Step"
}

// newChat starts a new conversation in a new session, so that the agent knows nothing of the last one.
func (a *App) newChat(w http.ResponseWriter, r *http.Request, l session.Login) error {
	err := a.count(r.Context(), l.Owner.Subject, newChats)
	if err == nil {
		err = a.newConversation(r.Context(), l)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *App) newConversation(ctx context.Context, l session.Login) error {
	old, refresh, err := a.refreshToken(ctx, l)
	if err != nil {
		return err
	}
	if len(l.Sessions) >= maxSessions {
		return fault.New(fault.Conflict, "You have too many conversations in one sign-in. Please sign out and in again.", nil)
	}
	l.Current = session.NewID()
	if err := a.openSession(ctx, l, session.FrontChat, refresh); err != nil {
		return err
	}
	// The session of the last conversation stays: its open changes need it.
	if err := a.Sessions.SetCurrent(ctx, l.Key, l.Current); err != nil {
		return err
	}
	if err := a.Agent.End(ctx, string(old.ID)); err != nil {
		fault.Answer(ctx, a.Log, err) // the agent ends an idle session
	}
	return nil
}

// stream writes server-sent events (HTML, "Server-sent events"), each flushed at once.
type stream struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	cancel context.CancelFunc // called when the browser does not read any more; may be nil
	err    error
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
		// lambdaurl sends every write at once and has nothing to flush.
		if err = http.NewResponseController(s.w).Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err != nil {
		s.err = err
		if s.cancel != nil {
			s.cancel()
		}
	}
	return err
}

func (s *stream) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// keepAlive sends comments so that the connection does not look idle while a tool works. It returns the function that stops it.
func (s *stream) keepAlive(ctx context.Context) (stop func()) {
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
