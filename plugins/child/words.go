package child

import (
	"bytes"
	"strings"
	"sync"
)

// maxLastWords bounds what is quoted of what a process has said.
const maxLastWords = 200

// lastWords is the line that most likely says why a process ended: the last one, or
// the one with which a Go program began to die. It takes any amount.
type lastWords struct {
	mu   sync.Mutex // guards what follows
	open []byte     // the line that is being written, as far as it is kept
	line string
	sure bool // line is why
}

// deaths is how a Go program begins to die; what follows are stacks.
var deaths = [...]string{"panic: ", "fatal error: ", "runtime/cgo: "}

func (w *lastWords) write(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte{'\n'})
		w.open = append(w.open, part[:min(len(part), maxLastWords-len(w.open))]...)
		if p = rest; ended {
			w.end()
		}
	}
}

// end takes the line that was written. mu is held.
func (w *lastWords) end() {
	line := strings.TrimSpace(string(clean(w.open)))
	w.open = w.open[:0]
	if line == "" || w.sure {
		return
	}
	w.line = line
	for _, d := range deaths {
		w.sure = w.sure || strings.HasPrefix(line, d)
	}
}

// quote is what is added to the reason for an end.
func (w *lastWords) quote() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	if w.line == "" {
		return ""
	}
	return "; it said: " + w.line
}
