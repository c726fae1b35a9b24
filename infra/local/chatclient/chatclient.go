// Package chatclient drives the chat over HTTP as a browser would: it signs in, sends messages and follows approvals.
// Tests and the benchmark of the laptop run use it.
package chatclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Client is the chat of one signed-in person.
type Client struct {
	Email string
	Chat  string // address of the chat
	HTTP  *http.Client
}

var hiddenState = regexp.MustCompile(`name="state" value="([^"]+)"`)

// SignIn goes through the login at the chat of that address, up to its page.
func SignIn(ctx context.Context, chat, email string) (*Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("cookies: %w", err)
	}
	c := &Client{Email: email, Chat: strings.TrimSuffix(chat, "/"), HTTP: &http.Client{Jar: jar, Timeout: 2 * time.Minute}}
	page, at, err := c.page(ctx, http.MethodGet, c.Chat+"/login", nil)
	if err != nil {
		return nil, fmt.Errorf("open the login of %s: %w", email, err)
	}
	state := hiddenState.FindStringSubmatch(page)
	if state == nil {
		return nil, fmt.Errorf("open the login of %s: %s is no login page", email, at)
	}
	form := url.Values{"state": {html.UnescapeString(state[1])}, "person": {email}}
	if _, at, err = c.page(ctx, http.MethodPost, at.Scheme+"://"+at.Host+"/u/login", form); err != nil {
		return nil, fmt.Errorf("sign in %s: %w", email, err)
	}
	if at.Scheme+"://"+at.Host+strings.TrimSuffix(at.Path, "/") != c.Chat {
		return nil, fmt.Errorf("sign in %s: ended at %s", email, at.Redacted())
	}
	return c, nil
}

var hiddenTicket = regexp.MustCompile(`name="ticket" value="([^"]+)"`)

// Connect goes through Connect Okta: the consent page, where decision is "approve" or "deny", and back to the chat's page.
func (c *Client) Connect(ctx context.Context, decision string) error {
	page, at, err := c.page(ctx, http.MethodGet, c.Chat+"/connect", nil)
	if err != nil {
		return fmt.Errorf("open Connect Okta: %w", err)
	}
	ticket := hiddenTicket.FindStringSubmatch(page)
	if ticket == nil {
		return fmt.Errorf("open Connect Okta: %s is no consent page", at.Redacted())
	}
	form := url.Values{"ticket": {html.UnescapeString(ticket[1])}, "person": {c.Email}, "decision": {decision}}
	if _, _, err := c.page(ctx, http.MethodPost, at.Scheme+"://"+at.Host+"/connected-accounts/connect", form); err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	return nil
}

func (c *Client) page(ctx context.Context, method, address string, form url.Values) (body string, at *url.URL, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	res, err := c.HTTP.Do(r)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return "", nil, err
	}
	if res.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s answered %d", res.Request.URL.Path, res.StatusCode)
	}
	return string(raw), res.Request.URL, nil
}

// Answer is what came back on one message.
type Answer struct {
	Text      string
	Traces    []json.RawMessage
	Approvals []Approval
	Errors    []string
	First     time.Duration // until the first text
	Took      time.Duration
}

// Approval is an approval as the chat shows it.
type Approval struct {
	ID        string    `json:"id"`
	Operation string    `json:"operation"`
	Summary   string    `json:"summary"`
	Code      string    `json:"code"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Result    string    `json:"result"`
}

// Say sends a message and reads the agent's answer to its end.
func (c *Client) Say(ctx context.Context, message string) (Answer, error) {
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil { // a string always encodes
		panic(err)
	}
	begun := time.Now()
	res, err := c.send(ctx, http.MethodPost, "/api/chat", body)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a, err := readEvents(res.Body, begun)
	a.Took = time.Since(begun)
	return a, err
}

// readEvents reads a text/event-stream up to the event done.
func readEvents(from io.Reader, begun time.Time) (a Answer, err error) {
	var event string
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			if event == "done" {
				return a, nil
			}
			if err := a.take(event, []byte(value), begun); err != nil {
				return a, fmt.Errorf("event %s: %w", event, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return a, fmt.Errorf("read the answer: %w", err)
	}
	return a, fmt.Errorf("the answer ends without the event done: %w", io.ErrUnexpectedEOF)
}

func (a *Answer) take(event string, data []byte, begun time.Time) error {
	switch event {
	case "text":
		var in struct{ Text string }
		if err := json.Unmarshal(data, &in); err != nil {
			return err
		}
		if a.First == 0 {
			a.First = time.Since(begun)
		}
		a.Text += in.Text
	case "trace":
		a.Traces = append(a.Traces, bytes.Clone(data))
	case "approval":
		var in Approval
		if err := json.Unmarshal(data, &in); err != nil {
			return err
		}
		a.Approvals = append(a.Approvals, in)
	case "error":
		var in struct{ Message string }
		if err := json.Unmarshal(data, &in); err != nil {
			return err
		}
		a.Errors = append(a.Errors, in.Message)
	}
	return nil
}

// Approvals are the person's approvals, as the page shows them.
func (c *Client) Approvals(ctx context.Context) ([]Approval, error) {
	var all []Approval
	return all, c.JSON(ctx, http.MethodGet, "/api/approvals", nil, &all)
}

// Await waits until an approval has come to its end.
func (c *Client) Await(ctx context.Context, id string) (Approval, error) {
	for {
		all, err := c.Approvals(ctx)
		if err != nil {
			return Approval{}, err
		}
		for _, a := range all {
			if a.ID == id && a.Status != "pending" && a.Status != "approved" && a.Status != "executing" {
				return a, nil
			}
		}
		select {
		case <-time.After(300 * time.Millisecond): // the chat answers 429 to the impatient
		case <-ctx.Done():
			return Approval{}, fmt.Errorf("wait for approval %s: %w", id, ctx.Err())
		}
	}
}

// JSON calls the chat's API. in and out may be nil.
func (c *Client) JSON(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Chat+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Origin", c.Chat)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := c.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		_ = res.Body.Close()
		return nil, fmt.Errorf("%s %s: status %d: %s", method, path, res.StatusCode, bytes.TrimSpace(raw))
	}
	return res, nil
}
