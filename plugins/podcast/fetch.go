package podcast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxFeed = 32 << 20         // bytes
	quiet   = 25 * time.Second // how long a server may say nothing; the host waits for 30 s
	agent   = "aml-podcast/1.0 (+https://github.com/anonymous-media-library/aml)"
)

// speakable refuses what is not http or https.
func speakable(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%.200q: want http or https", plain(u.Redacted()))
	case u.User != nil:
		return fmt.Errorf("%.200q: a name and password in a URL are not used", plain(u.Redacted()))
	}
	return nil
}

// get requests a URL. The answer's body has to be closed; it ends when the server,
// from the beginning on, says nothing for too long. Errors do not say what stands
// behind the ? of a URL.
func (p *podcast) get(ctx context.Context, c *http.Client, to string, header map[string]string) (_ *http.Response, err error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("%.200q is no URL", plain(to))
	}
	if err := speakable(u); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	q := &quietly{began: time.Now(), cancel: cancel, timer: time.AfterFunc(quiet, func() { cancel(errQuiet) })}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%.200q is no URL", plain(to)), q.Close())
	}
	req.Header.Set("User-Agent", agent)
	for key, value := range header {
		if value != "" {
			req.Header.Set(key, value)
		}
	}
	res, err := c.Do(req)
	if err != nil {
		late := context.Cause(ctx) == errQuiet
		_ = q.Close() // has no body
		var wrapped *url.Error
		switch {
		case late:
			err = errQuiet
		case errors.As(err, &wrapped):
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%.200s: %w", plain(to), err)
	}
	q.ReadCloser, res.Body = res.Body, q
	return res, nil
}

// plain is a URL as it may be shown: what stands behind its ? may be a key.
func plain(link string) string {
	link, _, _ = strings.Cut(link, "?")
	return link
}

// download begins to fetch a file at an offset.
func (p *podcast) download(ctx context.Context, h handle, offset int64) (io.ReadCloser, error) {
	header := map[string]string{"Accept-Encoding": "identity"}
	if offset > 0 {
		header["Range"] = "bytes=" + strconv.FormatInt(offset, 10) + "-"
	}
	reach, err := p.reachOf(h.From)
	if err != nil {
		return nil, err
	}
	res, err := p.get(ctx, reach.files, h.URL, header)
	if err != nil {
		return nil, err
	}
	skip := int64(0)
	switch {
	case res.StatusCode == http.StatusPartialContent && strings.HasPrefix(res.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(offset, 10)+"-"):
	case res.StatusCode == http.StatusOK:
		skip = offset
	default:
		err = fmt.Errorf("%.200s: the server says %.40s", plain(h.URL), res.Status)
	}
	if media := res.Header.Get("Content-Type"); err == nil && h.Kind != "" && strings.HasPrefix(strings.ToLower(media), "text/html") {
		err = fmt.Errorf("%.200s: a web page is in its place", plain(h.URL))
	}
	if err == nil && skip > 0 { // within one pause: the host hears nothing meanwhile
		_, err = io.CopyN(io.Discard, res.Body.(*quietly).ReadCloser, skip)
	}
	if err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	return res.Body, nil
}

// quietly ends a download whose server says nothing for too long, or so little that
// it would never end.
type quietly struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
	began  time.Time
	bytes  int64
}

var (
	errQuiet = errors.New("the server says nothing any more")
	errSlow  = errors.New("the server sends less than 1 KiB a second")
)

func (q *quietly) Read(b []byte) (int, error) {
	n, err := q.ReadCloser.Read(b)
	if n > 0 {
		q.timer.Reset(quiet)
	}
	if q.bytes += int64(n); err == nil && tooSlow(q.bytes, time.Since(q.began)) {
		err = errSlow
	}
	return n, err
}

// tooSlow reports whether a server keeps a poll busy for nothing: a few polls run at a
// time, and others wait for them.
func tooSlow(bytes int64, after time.Duration) bool {
	const grace, rate = 10 * time.Minute, 1 << 10 // bytes a second
	return after > grace && bytes < rate*int64(after/time.Second)
}

func (q *quietly) Close() error {
	q.timer.Stop()
	q.cancel(nil)
	if q.ReadCloser == nil {
		return nil
	}
	return q.ReadCloser.Close()
}
