package runtimeapi

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Line is one line a function wrote to its standard output or error.
type Line struct {
	At       time.Time `json:"at"`
	Function string    `json:"function"`
	Instance string    `json:"instance"`
	Text     string    `json:"text"`
}

// linesKept bounds the memory of a run that goes on for days.
const linesKept = 50000

// Logs keeps what the functions wrote, and copies it to a writer as it comes.
type Logs struct {
	mu    sync.Mutex
	w     io.Writer
	lines []Line
}

// NewLogs makes an empty log. w may be nil.
func NewLogs(w io.Writer) *Logs { return &Logs{w: w} }

// Lines are the lines of one function, or of all of them for "", oldest first. Of a long run only the newest are kept.
func (l *Logs) Lines(function string) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Clone(l.lines)
	if function == "" {
		return lines
	}
	return slices.DeleteFunc(lines, func(line Line) bool { return line.Function != function })
}

// String is everything that was written, for a test that looks for what must not be there.
func (l *Logs) String() string {
	var b strings.Builder
	for _, line := range l.Lines("") {
		b.WriteString(line.Text)
		b.WriteByte('\n')
	}
	return b.String()
}

// Reset forgets all lines.
func (l *Logs) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

func (l *Logs) add(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == linesKept {
		l.lines = append(l.lines[:0], l.lines[linesKept/2:]...)
	}
	l.lines = append(l.lines, line)
	if l.w != nil {
		_, _ = fmt.Fprintf(l.w, "%s %-15s %s\n", line.At.Format("15:04:05.000"), line.Function, line.Text)
	}
}

// lineWriter cuts the output of a process into lines.
type lineWriter struct {
	logs               *Logs
	function, instance string

	mu   sync.Mutex
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.rest = rest
		w.emit(line)
	}
}

func (w *lineWriter) emit(line []byte) {
	w.logs.add(Line{At: time.Now(), Function: w.function, Instance: w.instance, Text: string(bytes.TrimRight(line, "\r"))})
}

// flush writes out what has no newline at its end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.emit(w.rest)
		w.rest = nil
	}
}
