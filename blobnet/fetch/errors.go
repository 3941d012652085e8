package fetch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// NotFoundError says that no peer gave a blob in time. It wraps
// blobnet.ErrNotFound.
type NotFoundError struct {
	ID    blobnet.ID
	After time.Duration // how long was waited since nobody was left to ask
	Tried []Tried       // by peer name; empty if there was none to ask
}

// Tried is what one peer answered last.
type Tried struct {
	Peer string
	Err  error
}

// maxTold is how many peers an error's text names.
const maxTold = 8

func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no peer gave blob %s within %v", e.ID, e.After)
	if len(e.Tried) == 0 {
		b.WriteString(": there was no peer to ask")
	}
	for i, t := range e.Tried {
		if i == maxTold {
			fmt.Fprintf(&b, "; and %d more", len(e.Tried)-i)
			break
		}
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		why := t.Err.Error()
		if at := strings.LastIndex(why, t.Peer+": "); at >= 0 {
			why = why[at+len(t.Peer)+2:] // the peer is named once
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, t.Peer, why)
	}
	return b.String()
}

// Unwrap returns blobnet.ErrNotFound.
func (e *NotFoundError) Unwrap() error { return blobnet.ErrNotFound }

// misbehaved reports whether err is what no honest peer causes.
func misbehaved(err error) bool {
	var m interface{ Misbehaviour() bool }
	return errors.Is(err, blobnet.ErrCorrupt) || errors.As(err, &m) && m.Misbehaviour()
}

// retryAfter is how long the peer that gave err, a blobnet.ErrBusy, wants to
// be left alone.
func retryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		return min(max(r.RetryAfter(), 10*time.Millisecond), time.Minute)
	}
	return time.Second
}
