package seal_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/seal"
	"github.com/steward-iam/steward/shared/secret"
)

func sealer(t *testing.T, key string) *seal.Sealer {
	t.Helper()
	b, err := seal.New(secret.New(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedValuesOpenInTheirPlaceOnly(t *testing.T) {
	key := strings.Repeat("k", 40)
	b := sealer(t, key)
	sealed, err := b.Seal(secret.New("canary-token"), "session-1", "owner-1", "refresh_token")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Fatal("the sealed value shows the plain text")
	}
	// The key survives a restart: a second sealer from the same text opens it.
	if got, err := sealer(t, key).Open(sealed, "session-1", "owner-1", "refresh_token"); err != nil || got.Reveal() != "canary-token" {
		t.Fatalf("Open = %q, %v", got.Reveal(), err)
	}
	again, err := b.Seal(secret.New("canary-token"), "session-1", "owner-1", "refresh_token")
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("two seals of one value are equal (err %v)", err)
	}

	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() (secret.String, error){
		"another session": func() (secret.String, error) { return b.Open(sealed, "session-2", "owner-1", "refresh_token") },
		"another owner":   func() (secret.String, error) { return b.Open(sealed, "session-1", "owner-2", "refresh_token") },
		"another purpose": func() (secret.String, error) { return b.Open(sealed, "session-1", "owner-1", "okta_token") },
		"shifted names":   func() (secret.String, error) { return b.Open(sealed, "session-1o", "wner-1", "refresh_token") },
		"another key": func() (secret.String, error) {
			return sealer(t, strings.Repeat("j", 40)).Open(sealed, "session-1", "owner-1", "refresh_token")
		},
		"a changed byte": func() (secret.String, error) { return b.Open(flipped, "session-1", "owner-1", "refresh_token") },
		"plain text": func() (secret.String, error) {
			return b.Open([]byte("canary-token"), "session-1", "owner-1", "refresh_token")
		},
		"nothing": func() (secret.String, error) { return b.Open(nil, "session-1", "owner-1", "refresh_token") },
	} {
		if got, err := open(); !errors.Is(err, seal.ErrNotOpened) || !got.IsZero() {
			t.Errorf("%s: got %v, err %v; want nothing and ErrNotOpened", name, got, err)
		}
	}
}

func TestUnusableKeysAndBindingsAreRefused(t *testing.T) {
	many := make([]string, seal.MaxKeys+1)
	for i := range many {
		many[i] = seal.GenerateKey().Reveal()
	}
	one, short := many[0], "canary-short"
	for name, tc := range map[string]struct{ text, want string }{
		"short":         {short, "line 1 has 12 characters"},
		"short beneath": {one + "\n\n" + short + "\n", "line 3 has 12 characters"},
		"twice":         {one + "\n" + many[1] + "\n " + one, "line 3 repeats line 1"},
		"blank":         {" \n\n", "no key"},
		"too many":      {strings.Join(many, "\n"), "33 keys"},
	} {
		if _, err := seal.New(secret.New(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want an error that says %q and no key", name, err, tc.want)
		}
	}
	sealer(t, "\n"+strings.Join(many[1:], "\r\n\n")+"\n")
	b := sealer(t, seal.GenerateKey().Reveal())
	if _, err := b.Seal(secret.String{}, "a"); err == nil {
		t.Error("an empty secret was sealed")
	}
	if _, err := b.Seal(secret.New("x")); err == nil {
		t.Error("a value without a place was sealed")
	}
	if _, err := b.Seal(secret.New("x"), ""); err == nil {
		t.Error("an empty name was accepted")
	}
}

// TestOldKeysOpenAndNewestSeals turns keys over: what older keys sealed or marked is still good, and the newest makes what is
// new.
func TestOldKeysOpenAndNewestSeals(t *testing.T) {
	first, second, third := seal.GenerateKey().Reveal(), seal.GenerateKey().Reveal(), seal.GenerateKey().Reveal()
	before, now := sealer(t, first), sealer(t, third+"\n"+second+"\n"+first+"\n")
	sealed, err := before.Seal(secret.New("canary"), "session-1")
	if err != nil {
		t.Fatal(err)
	}
	mark, err := before.Mark("approved", "a-1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := now.Open(sealed, "session-1"); err != nil || got.Reveal() != "canary" {
		t.Errorf("what was sealed before does not open: %v", err)
	}
	if !now.Verify(mark, "approved", "a-1") {
		t.Error("what was marked before does not verify")
	}
	newer, err := now.Seal(secret.New("canary"), "session-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealer(t, third).Open(newer, "session-1"); err != nil {
		t.Errorf("the first key does not open what is sealed now: %v", err)
	}
	if newest, err := now.Mark("approved", "a-1"); err != nil || !sealer(t, third).Verify(newest, "approved", "a-1") || before.Verify(newest, "approved", "a-1") {
		t.Errorf("what is marked now is not marked with the first key: %v", err)
	}
	for name, verified := range map[string]bool{
		"another mark": now.Verify(mark[1:], "approved", "a-1"), "no mark": now.Verify(nil, "approved", "a-1"),
		"other names": now.Verify(mark, "approved", "a-2"), "shifted names": now.Verify(mark, "approveda", "-1"), "no names": now.Verify(mark),
		"a key that is gone": sealer(t, third+"\n"+second).Verify(mark, "approved", "a-1"),
	} {
		if verified {
			t.Errorf("%s verifies", name)
		}
	}
}

// stored is a secret store and a clock.
type stored struct {
	text    string
	err     error
	fetched int
	now     time.Time
}

func (s *stored) sealer() func(context.Context) (*seal.Sealer, error) {
	fetch := func(context.Context) (secret.String, error) {
		s.fetched++
		return secret.New(s.text), s.err
	}
	return seal.FromStore("opens the tests", fetch, func() time.Time { return s.now })
}

// The text is fetched once, at first use. A text without a usable key is fetched again, as it may have been corrected.
func TestStoredKeysAreFetchedOnce(t *testing.T) {
	s := &stored{now: time.Now(), err: errors.New("away")}
	get := s.sealer()
	if _, err := get(t.Context()); !errors.Is(err, s.err) {
		t.Errorf("without a store: %v, want what the fetch says", err)
	}
	s.text, s.err = "canary-short", nil
	_, err := get(t.Context())
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Internal || !strings.Contains(e.Say, "the key that opens the tests cannot be used") || strings.Contains(err.Error(), "canary") {
		t.Errorf("under a key that is too short: %v", err)
	}
	s.text = seal.GenerateKey().Reveal()
	for range 3 {
		if _, err := get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.fetched != 3 {
		t.Errorf("fetched %d times, want twice in vain and once", s.fetched)
	}
}

func TestACallerWhoseTimeEndsGetsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := seal.FromStore("opens the tests", func(context.Context) (secret.String, error) {
			time.Sleep(time.Minute)
			return seal.GenerateKey(), nil
		}, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := get(ctx); fault.KindOf(err) != fault.Upstream || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := get(t.Context()); err != nil {
			t.Errorf("a caller with more time: %v", err)
		}
	})
}

// TestRunningProcessLearnsOfARotation holds that a process that keeps a ring learns of a rotation when it meets a value of the
// new key, asks at most once a minute for that, and is none the worse for a store that is away.
func TestRunningProcessLearnsOfARotation(t *testing.T) {
	old, young := seal.GenerateKey().Reveal(), seal.GenerateKey().Reveal()
	s := &stored{text: old, now: time.Now()}
	get := s.sealer()
	warm, err := get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer(t, young).Seal(secret.New("canary"), "session-1")
	if err != nil {
		t.Fatal(err)
	}
	mark, err := sealer(t, young).Mark("approved")
	if err != nil {
		t.Fatal(err)
	}
	opens := func(b *seal.Sealer) bool { _, err := b.Open(sealed, "session-1"); return err == nil }

	if opens(warm) || warm.Verify(mark, "approved") || s.fetched != 2 {
		t.Errorf("before the rotation: fetched %d times, want once more for two values that do not open", s.fetched)
	}
	s.now, s.text, s.err = s.now.Add(time.Minute), young+"\n"+old, errors.New("away")
	if opens(warm) || s.fetched != 3 {
		t.Errorf("it opens without the key, or fetched %d times", s.fetched)
	}
	if b, err := get(t.Context()); err != nil || b == nil {
		t.Errorf("a store that is away fails a call: %v", err)
	}
	s.now, s.err = s.now.Add(time.Minute), nil
	if !warm.Verify(mark, "approved") || !opens(warm) || s.fetched != 4 {
		t.Errorf("after the rotation: fetched %d times, want once for all that does not open", s.fetched)
	}
	now, err := get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := now.Mark("approved"); err != nil || !bytes.Equal(again, mark) {
		t.Errorf("the new key is not the one that marks: %v", err)
	}
}

// TestStoredKeysAreReadAgain holds that the new key is soon the one that seals, although everything opens: after ten minutes the
// text is read beside the call that notices, once.
func TestStoredKeysAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, young := seal.GenerateKey().Reveal(), seal.GenerateKey().Reveal()
		text, fetched := old, 0
		get := seal.FromStore("opens the tests", func(ctx context.Context) (secret.String, error) {
			fetched++
			time.Sleep(time.Second)
			return secret.New(text), ctx.Err()
		}, time.Now)
		mark := func() []byte {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel() // the call is over before the text is there
			b, err := get(ctx)
			if err != nil {
				t.Fatal(err)
			}
			m, err := b.Mark("a")
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		first := mark()
		text = young + "\n" + old
		time.Sleep(9 * time.Minute)
		if !bytes.Equal(mark(), first) || fetched != 1 {
			t.Errorf("after nine minutes: fetched %d times", fetched)
		}
		time.Sleep(time.Minute)
		for range 3 {
			if !bytes.Equal(mark(), first) {
				t.Error("a call waited for the text")
			}
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if bytes.Equal(mark(), first) || fetched != 2 {
			t.Errorf("after ten minutes: the old key marks, or fetched %d times", fetched)
		}
		text = "garbage"
		time.Sleep(11 * time.Minute)
		mark()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if mark(); fetched != 3 {
			t.Errorf("fetched %d times", fetched)
		}
	})
}
