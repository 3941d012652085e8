package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// maxLine bounds one line of an answer: a list of 4,096 entries fits.
const maxLine = 64 << 20

// Client talks to one node, over its Unix socket or in memory; which of the
// two makes no difference to a caller. It may be used from many goroutines.
type Client struct {
	http   *http.Client
	remote bool
	stop   func() error // ends what Open started
}

// Remote reports whether the node is another process, which goes on when this
// one ends.
func (c *Client) Remote() bool { return c.remote }

// Close ends the node if Open started one in this process, and waits for it.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if c.stop == nil {
		return nil
	}
	return c.stop()
}

func newClient(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}}
}

// Event is one line of an answer in progress. Name is its "event" field, Raw
// the whole line, valid until the callback that got it returns.
type Event struct {
	Name string
	Raw  json.RawMessage
}

// Decode reads the event into v.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.Raw, v); err != nil {
		return fmt.Errorf("reading event %q: %w", e.Name, err)
	}
	return nil
}

// call asks for one verb, hands its events to on (which may be nil), and
// returns its result. An error of the node's side is an *Error.
func call[Res any](ctx context.Context, c *Client, verb string, req any, on func(Event)) (Res, error) {
	var res Res
	body, err := json.Marshal(req)
	if err != nil {
		return res, fmt.Errorf("encoding the request for %s: %w", verb, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://aml/v1/"+verb, bytes.NewReader(body))
	if err != nil {
		return res, fmt.Errorf("asking for %s: %w", verb, err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return res, broken(ctx, verb, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return res, &Error{Code: CodeFailure, Message: fmt.Sprintf("the node on this home does not know %s (%s): is it of another version?", verb, resp.Status)}
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(make([]byte, 0, 64<<10), maxLine)
	for scan.Scan() {
		var event struct {
			Event string `json:"event"`
		}
		if err := json.Unmarshal(scan.Bytes(), &event); err != nil {
			return res, fmt.Errorf("reading the answer to %s: %w", verb, err)
		}
		if event.Event != "" {
			if on != nil {
				on(Event{Name: event.Event, Raw: scan.Bytes()})
			}
			continue
		}
		var line end // of which an event may have the names, for other things
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			return res, fmt.Errorf("reading the answer to %s: %w", verb, err)
		}
		switch {
		case line.Error != nil && line.Error.Code == CodeInterrupted && ctx.Err() == nil:
			return res, broken(ctx, verb, io.ErrUnexpectedEOF) // the node was, not we
		case line.Error != nil:
			return res, line.Error
		default:
			if err := json.Unmarshal(line.Result, &res); err != nil {
				return res, fmt.Errorf("reading the answer to %s: %w", verb, err)
			}
			return res, nil
		}
	}
	if err := scan.Err(); err != nil {
		return res, broken(ctx, verb, err)
	}
	return res, broken(ctx, verb, io.ErrUnexpectedEOF)
}

// broken names why an answer ended early: this side's context, or the node.
func broken(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &Error{Code: CodeFailure, Message: "the node stopped while it answered " + verb}
	}
	return fmt.Errorf("asking the node for %s: %w", verb, err)
}
