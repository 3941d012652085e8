package child

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

// How much of what a plugin says is kept.
const (
	maxLogFile = 1 << 20  // bytes; there are two files
	maxLogLine = 2 << 10  // bytes
	logRate    = 64 << 10 // bytes per second
	logBurst   = 512 << 10
)

// Log is where the words of one plugin go: a file with a time before each line,
// and the file before it. It takes any amount, at any speed, and keeps what fits;
// what is in it can be shown on a terminal.
type Log struct {
	path string
	now  func() time.Time

	mu      sync.Mutex // one line at a time; held over writes to a local file
	file    *os.File
	size    int64
	line    []byte // begun
	tooLong bool
	limit   *rate.Limiter
	dropped int
}

// OpenLog opens the log at path, mode 0600; the older half is path + ".1". If now
// is nil, time.Now.
func OpenLog(path string, now func() time.Time) (*Log, error) {
	if now == nil {
		now = time.Now
	}
	l := &Log{path: path, now: now, limit: rate.NewLimiter(logRate, logBurst)}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) open() (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("opening a plugin's log: %w", err)
	}
	info, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("opening a plugin's log: %w", err)
	}
	l.size = info.Size()
	return nil
}

// Write takes part of what the plugin says. It never fails: a plugin's words are
// not worth stopping for.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxLogLine - len(l.line); len(part) > room {
			part, l.tooLong = part[:room], true
		}
		l.line = append(l.line, part...)
		if rest = after; ended {
			l.flush()
		}
	}
	return len(p), nil
}

// Printf adds a line of the host's own.
func (l *Log) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	l.put("aml: " + fmt.Sprintf(format, args...))
}

// flush ends the line that was begun.
func (l *Log) flush() {
	if len(l.line) == 0 {
		return
	}
	text, tooLong := string(clean(l.line)), l.tooLong
	l.line, l.tooLong = l.line[:0], false
	if !l.limit.AllowN(l.now(), len(text)) {
		l.dropped++
		return
	}
	if l.dropped > 0 {
		l.put(fmt.Sprintf("aml: it says too much: %d lines are left out", l.dropped))
		l.dropped = 0
	}
	if tooLong {
		text += " ..."
	}
	l.put(text)
}

func (l *Log) put(text string) {
	if l.file == nil {
		return
	}
	if l.size > maxLogFile {
		l.file.Close()
		l.file = nil
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return
		}
		if l.open() != nil {
			l.file = nil
			return
		}
	}
	n, _ := fmt.Fprintf(l.file, "%s %s\n", l.now().UTC().Format("2006-01-02T15:04:05.000Z"), text)
	l.size += int64(n)
}

// clean replaces what could do something to a terminal.
func clean(line []byte) []byte {
	out := make([]byte, 0, len(line))
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		line = line[n:]
		if r == utf8.RuneError || r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			r = '?'
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}
