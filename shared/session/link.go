package session

import (
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The console's test window has sessions of its own, with ids that Bedrock makes and no person behind them. Where it is
// switched on, a signed-in person binds such a session to themselves: the function shows a code, the person types it on
// the page that the function names. The code follows from the session's id and the time under the token key, so nothing
// is stored until the person has typed it, and only who sees that test window can know it.

// linkWindow is how long a code is shown; it is taken for one window more.
const linkWindow = 10 * time.Minute

// consoleID says whether InvokeAgent takes id for a session id: [0-9a-zA-Z._:-]{2,100}.
func consoleID(id ID) bool {
	return len(id) >= 2 && len(id) <= 100 && strings.IndexFunc(string(id), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._:-", r)
	}) < 0
}

// Marker makes a text that only holders of the token key can make.
type Marker interface {
	Mark(names ...string) ([]byte, error)
}

// LinkCode is the code for binding the session id at a time: eight letters and digits, as ABCD-EFGH.
func LinkCode(m Marker, id ID, at time.Time) (string, error) {
	if !consoleID(id) {
		return "", errors.New("no session id of Bedrock's")
	}
	return linkCode(m, id, at.Unix()/int64(linkWindow/time.Second))
}

func linkCode(m Marker, id ID, window int64) (string, error) {
	mark, err := m.Mark("console link", string(id), strconv.FormatInt(window, 10))
	if err != nil {
		return "", err
	}
	text := base32.StdEncoding.EncodeToString(mark[:5])
	return text[:4] + "-" + text[4:8], nil
}

// LinkCodeFits says whether typed is the code of id, of this window or the one before.
func LinkCodeFits(m Marker, id ID, typed string, at time.Time) bool {
	typed = strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(typed, "-", ""), " ", ""))
	if len(typed) != 8 || !consoleID(id) {
		return false
	}
	window := at.Unix() / int64(linkWindow/time.Second)
	fits := 0
	for _, w := range []int64{window, window - 1} {
		code, err := linkCode(m, id, w)
		if err != nil {
			return false
		}
		fits |= subtle.ConstantTimeCompare([]byte(strings.ReplaceAll(code, "-", "")), []byte(typed))
	}
	return fits == 1
}
