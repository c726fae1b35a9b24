package session

import (
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A session of the Bedrock console's test window has an id from Bedrock and no signed-in person. With console linking on, a
// function shows a code there, and a signed-in person types it on the page that the function names. The code is a keyed hash of
// the session's id and the time, so nothing is stored before it is typed, and only a person who sees the test window knows it.

// linkWindow is the time for which a code is shown. It is accepted for one more window.
const linkWindow = 10 * time.Minute

// consoleID reports whether id is valid for InvokeAgent: [0-9a-zA-Z._:-]{2,100}.
func consoleID(id ID) bool {
	return len(id) >= 2 && len(id) <= 100 && strings.IndexFunc(string(id), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._:-", r)
	}) < 0
}

// Marker makes keyed hashes, as seal.Sealer does.
type Marker interface {
	Mark(names ...string) ([]byte, error)
}

// LinkCode returns the code that links the session id at a time: eight letters and digits in the form ABCD-EFGH.
func LinkCode(m Marker, id ID, at time.Time) (string, error) {
	if !consoleID(id) {
		return "", errors.New("not a session id of Bedrock")
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

// LinkCodeFits reports whether typed is the code of id in this window or the one before. Case, blanks and dashes are ignored.
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
