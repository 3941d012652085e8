package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// PluginLogsRequest names a plugin. With Follow what it has said is told as events, and
// so is what it says from then on, until the caller has enough.
type PluginLogsRequest struct {
	ID     string `json:"id"`
	Follow bool   `json:"follow"`
}

// PluginLogsResult is the end of what a plugin has said.
type PluginLogsResult struct {
	Lines []string `json:"lines"`
}

// LogEvent ("log") is a line that a plugin has said, or the node of it.
type LogEvent struct {
	Event string `json:"event"`
	Line  string `json:"line"`
}

// How logs are followed: a line is told within lookAtLog.
const (
	lookAtLog   = 250 * time.Millisecond
	maxLogBytes = 4 << 20
	maxLogLine  = 64 << 10 // longer ones are not written by a node
)

// PluginLogs tells the end of a plugin's log.
func (n *Node) PluginLogs(ctx context.Context, req PluginLogsRequest, emit func(any)) (PluginLogsResult, error) {
	if _, err := n.plugins.shelf.Get(req.ID); err != nil {
		return PluginLogsResult{}, err
	}
	path := n.plugins.shelf.LogFile(req.ID)
	if !req.Follow {
		return logEnd(path)
	}
	tick := time.NewTicker(lookAtLog)
	defer tick.Stop()
	return PluginLogsResult{Lines: []string{}}, followLog(ctx, path, tick.C, func(line string) { emit(LogEvent{Event: "log", Line: line}) })
}

func logEnd(path string) (PluginLogsResult, error) {
	out := PluginLogsResult{Lines: []string{}}
	for _, file := range []string{path + ".1", path} {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("reading a plugin's log: %w", err)
		}
		text, err := io.ReadAll(io.LimitReader(f, maxLogBytes))
		f.Close()
		if err != nil {
			return out, fmt.Errorf("reading a plugin's log: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			out.Lines = append(out.Lines, strings.TrimSuffix(line, "\n"))
		}
	}
	if extra := len(out.Lines) - maxLogLines; extra > 0 {
		out.Lines = out.Lines[extra:]
	}
	return out, nil
}

// followLog tells the lines of a log and, whenever look says so, those that have come
// since, until ctx ends. A log that is full is renamed, and begun anew: what was
// written to it before is told first.
func followLog(ctx context.Context, path string, look <-chan time.Time, line func(string)) error {
	before, err := os.Open(path + ".1")
	if err == nil {
		(&logTail{file: before}).read(line)
		before.Close()
	}
	t := &logTail{}
	defer func() { t.close() }()
	for {
		now, err := os.Stat(path)
		if err == nil && !t.is(now) {
			t.read(line) // to the end of what it was
			t.close()
			t.file, err = os.Open(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading a plugin's log: %w", err)
		}
		t.read(line)
		select {
		case <-look:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// logTail is how far a file was read.
type logTail struct {
	file  *os.File // nil: none
	begun []byte   // of a line that has no end yet
}

func (t *logTail) is(now fs.FileInfo) bool {
	if t.file == nil {
		return false
	}
	mine, err := t.file.Stat()
	return err == nil && os.SameFile(mine, now)
}

// read tells the lines that are whole.
func (t *logTail) read(line func(string)) {
	if t.file == nil {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := t.file.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			part, after, ended := bytes.Cut(rest, []byte{'\n'})
			t.begun = append(t.begun, part[:min(len(part), maxLogLine-len(t.begun))]...)
			if rest = after; ended {
				line(string(t.begun))
				t.begun = t.begun[:0]
			}
		}
		if err != nil {
			return // its end, or nothing that can be done
		}
	}
}

func (t *logTail) close() {
	if t.file != nil {
		t.file.Close()
		t.file, t.begun = nil, nil
	}
}
