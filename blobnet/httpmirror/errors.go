package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Errors beside those of blobnet; test with errors.Is.
var (
	// ErrStalled: the server sent nothing, or took nothing, in the time
	// allowed, or less than the least rate. It wraps os.ErrDeadlineExceeded.
	ErrStalled = fmt.Errorf("server stalled: %w", os.ErrDeadlineExceeded)

	// ErrRefused: the server answered with a status that is no promise of
	// better times, or redirects to where it may not.
	ErrRefused = errors.New("server refused")

	// ErrWho: the server wants to know who asks, or lets somebody else. It wraps
	// ErrRefused.
	ErrWho = fmt.Errorf("%w: who asks may not", ErrRefused)

	// ErrTarget: what Push is to copy to is no folder and no URL of HTTP.
	ErrTarget = errors.New("no place to copy to")

	// ErrLost: the connection broke more often than a transfer is resumed.
	ErrLost = errors.New("connection to server was lost")
)

// MisbehaviourError says that a server gave wrong bytes. It wraps
// blobnet.ErrCorrupt.
type MisbehaviourError struct {
	Peer  string
	Bytes int64 // that came for the blob, all in vain
	Err   error
}

func (e *MisbehaviourError) Error() string { return fmt.Sprintf("mirror %s: %v", e.Peer, e.Err) }

// Unwrap returns what the server did.
func (e *MisbehaviourError) Unwrap() error { return e.Err }

// Misbehaviour is true: a scheduler that does not know this package tells
// misbehaviour from failure by it.
func (e *MisbehaviourError) Misbehaviour() bool { return true }

// BusyError is blobnet.ErrBusy with the time after which to ask again.
type BusyError struct{ After time.Duration }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v, ask again in %v", blobnet.ErrBusy, e.After)
}

// Unwrap returns blobnet.ErrBusy.
func (e *BusyError) Unwrap() error { return blobnet.ErrBusy }

// RetryAfter is how long the server wants to be left alone.
func (e *BusyError) RetryAfter() time.Duration { return e.After }

// retryAfter reads the header of that name: seconds or a date, at most an hour.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(t), 0), time.Hour)
	}
	return 5 * time.Second
}

// statusError says what a status other than success means.
func statusError(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return blobnet.ErrNotFound
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &BusyError{After: retryAfter(resp.Header)}
	}
	return fmt.Errorf("%w: HTTP %d", ErrRefused, resp.StatusCode)
}

// refused is the error of a status that is no success.
func refused(status int, to string) error {
	err := ErrRefused
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		err = ErrWho
	}
	return fmt.Errorf("%w: HTTP %d to %s", err, status, to)
}

// withoutURL takes from an error of net/http the URL that it tells, and says
// what ended ctx if that was the reason.
func withoutURL(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}
