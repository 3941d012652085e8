package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/child"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// maxBatch is how many releases are asked about at once.
const maxBatch = 64

// Filter asks all plugins with FilterManifest about releases and returns one
// verdict for each. Without an answer one of an update channel is quarantined,
// which is: not taken now; any other passes.
func (h *Host) Filter(ctx context.Context, releases ...Release) ([]plugins.Verdict, error) {
	out := make([]plugins.Verdict, len(releases))
	members, err := h.with(ctx, plugins.FilterManifest)
	if err != nil || len(members) == 0 {
		return out, err
	}
	for from := 0; from < len(releases); from += maxBatch {
		batch := releases[from:min(from+maxBatch, len(releases))]
		said := make([][]plugins.Verdict, len(members))
		var asking sync.WaitGroup
		for i, m := range members {
			asking.Go(func() { said[i] = m.filter(ctx, batch) })
		}
		asking.Wait()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		for i, m := range members { // in order, whoever was first
			for j, v := range said[i] {
				out[from+j].Add(m.plugin.ID, v)
			}
		}
	}
	return out, nil
}

// filter asks one plugin.
func (m *member) filter(ctx context.Context, batch []Release) []plugins.Verdict {
	req := &pluginv1.FilterManifestRequest{}
	for _, r := range batch {
		req.Releases = append(req.Releases, r.proto(m.plugin.Has(plugins.Keys)))
	}
	out := make([]plugins.Verdict, len(batch))
	err := m.call(ctx, plugins.FilterManifest, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		res, err := pluginv1.NewFilterClient(conn).FilterManifest(ctx, req)
		if err != nil {
			return err
		}
		if len(res.Verdicts) != len(batch) {
			return fmt.Errorf("%w: %d verdicts on %d releases", plugins.ErrFailed, len(res.Verdicts), len(batch))
		}
		for i, v := range res.Verdicts {
			if out[i], err = verdict(v, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		rule, _ := plugins.RuleOf(plugins.FilterManifest)
		for i, r := range batch {
			out[i] = plugins.Verdict{}
			if rule.ClosedFor(r.Update()) {
				out[i] = plugins.Verdict{Decision: plugins.Quarantine, Failed: true, Reason: child.Said(err)}
			}
		}
	}
	return out
}

// verdict checks what a plugin says of a release.
func verdict(v *pluginv1.FilterVerdict, r *Release) (plugins.Verdict, error) {
	if v == nil {
		return plugins.Verdict{}, fmt.Errorf("%w: an empty verdict", plugins.ErrFailed)
	}
	decision, err := plugins.DecisionOf(v.Decision)
	if err == nil {
		err = plugins.CheckSaid(v.Reason, v.Labels)
	}
	if err != nil {
		return plugins.Verdict{}, err
	}
	out := plugins.Verdict{Decision: decision, Reason: v.Reason, Labels: v.Labels}
	if len(v.Mask) > 0 && r.Body != nil {
		masked := make(map[string]bool, len(v.Mask))
		for _, name := range v.Mask {
			masked[name] = true
		}
		out.Mask = map[string]string{}
		for _, e := range r.Body.Entries { // other names mean nothing
			if masked[e.Name] {
				out.Mask[e.Name] = ""
			}
		}
	}
	return out, nil
}

// Planned is a file that is going to be written, and where.
type Planned struct{ Name, Path string }

// Change is what a plugin wants otherwise.
type Change struct {
	Plugin   string
	Skip     bool
	Reason   string
	Priority int
	Path     string // as the plugin says: check it like any path
}

// maxPriority bounds a plugin's wish.
const maxPriority = 100

// Plan asks all plugins with PlanFetch. Skips unite; of priorities and paths the
// first word stands. Without an answer nothing changes.
func (h *Host) Plan(ctx context.Context, subscription string, r Release, files []Planned, labels map[string]string) (map[string]Change, error) {
	out := map[string]Change{}
	members, err := h.with(ctx, plugins.PlanFetch)
	if err != nil {
		return nil, err
	}
	said := make([]map[string]Change, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() { said[i] = m.plan(ctx, subscription, r, files, labels) })
	}
	asking.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, changes := range said {
		for name, c := range changes {
			before, there := out[name]
			switch {
			case !there:
				out[name] = c
			case !before.Skip && c.Skip:
				before.Plugin, before.Skip, before.Reason = c.Plugin, true, c.Reason
				fallthrough
			default:
				if before.Priority == 0 {
					before.Priority = c.Priority
				}
				if before.Path == "" {
					before.Path = c.Path
				}
				out[name] = before
			}
		}
	}
	return out, nil
}

func (m *member) plan(ctx context.Context, subscription string, r Release, files []Planned, labels map[string]string) map[string]Change {
	req := &pluginv1.PlanFetchRequest{Subscription: subscription, Release: r.proto(m.plugin.Has(plugins.Keys)), Labels: labels}
	known := map[string]bool{}
	for _, f := range files {
		req.Files = append(req.Files, &pluginv1.PlannedFile{Name: f.Name, Path: f.Path})
		known[f.Name] = true
	}
	out := map[string]Change{}
	err := m.call(ctx, plugins.PlanFetch, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		res, err := pluginv1.NewPlannerClient(conn).PlanFetch(ctx, req)
		if err != nil {
			return err
		}
		for _, c := range res.Changes {
			if err := plugins.CheckSaid(c.GetReason(), nil); err != nil {
				return err
			}
			if c == nil || c.Priority > maxPriority || c.Priority < -maxPriority || len(c.Path) > channel.MaxName {
				return fmt.Errorf("%w: a change that is none", plugins.ErrFailed)
			}
			if known[c.Name] {
				out[c.Name] = Change{Plugin: m.plugin.ID, Skip: c.Skip, Reason: c.Reason, Priority: int(c.Priority), Path: c.Path}
			}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return out
}

// Unscanned returns a verdict if what is fetched now could not be scanned, since
// a plugin with ScanContent is off: it need not be fetched then.
func (h *Host) Unscanned(ctx context.Context) (plugins.Verdict, error) {
	members, err := h.with(ctx, plugins.ScanContent)
	var out plugins.Verdict
	for _, m := range members {
		if m.current() == Off {
			out.Add(m.plugin.ID, plugins.Verdict{Decision: plugins.Quarantine, Failed: true, Reason: "it is off, and would have to look into the files"})
		}
	}
	return out, err
}

// Content is a verified file: Open is called once for each plugin that scans it.
type Content struct {
	Channel channel.ID
	Kind    channel.Kind
	Entry   channel.FileEntry
	Open    func() (io.ReadCloser, error)
}

// scanChunk is how many bytes go into one message.
const scanChunk = 256 << 10

// Scan shows a file to all plugins with ScanContent, at the same time. Without an
// answer it is quarantined. The error is that of reading the file, or ctx's.
func (h *Host) Scan(ctx context.Context, content Content) (plugins.Verdict, error) {
	members, err := h.with(ctx, plugins.ScanContent)
	if err != nil {
		return plugins.Verdict{}, err
	}
	said := make([]plugins.Verdict, len(members))
	errs := make([]error, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() { said[i], errs[i] = m.scan(ctx, content) })
	}
	asking.Wait()
	var out plugins.Verdict
	for i, m := range members {
		out.Add(m.plugin.ID, said[i])
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	return out, errors.Join(errs...)
}

func (m *member) scan(ctx context.Context, content Content) (out plugins.Verdict, readErr error) {
	rule, _ := plugins.RuleOf(plugins.ScanContent)
	extra := time.Duration(content.Entry.Size>>20) * rule.PerMiB
	err := m.call(ctx, plugins.ScanContent, extra, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := pluginv1.NewScannerClient(conn).ScanContent(ctx)
		if err != nil {
			return err
		}
		entry := &pluginv1.Entry{}
		fillEntry(entry, &content.Entry, m.plugin.Has(plugins.Keys))
		start := &pluginv1.ScanStart{Channel: content.Channel.String(), Kind: kindOf(content.Kind), Entry: entry}
		pipe := m.pipe(conn)
		if pipe != nil {
			defer os.Remove(pipe.Name())
			defer pipe.Close()
			start.Pipe = pipe.Name()
		}
		if err := stream.Send(&pluginv1.ScanContentRequest{Part: &pluginv1.ScanContentRequest_Start{Start: start}}); err == nil && pipe == nil {
			if readErr = pour(stream, content.Open); readErr != nil {
				return readErr
			}
		} // else the answer is there, or will say why not
		var poured chan error
		if pipe != nil {
			poured = make(chan error, 1)
			go func() { poured <- fill(pipe, content.Open) }()
		}
		res, err := stream.CloseAndRecv()
		if pipe != nil {
			_ = pipe.SetWriteDeadline(time.Unix(1, 0)) // it has its answer
			if readErr = <-poured; readErr != nil {
				return readErr
			}
		}
		if err != nil {
			return err
		}
		decision, err := plugins.DecisionOf(res.Decision)
		if err == nil {
			err = plugins.CheckSaid(res.Reason, res.Labels)
		}
		out = plugins.Verdict{Decision: decision, Reason: res.Reason, Labels: res.Labels}
		return err
	})
	if readErr != nil {
		return plugins.Verdict{Decision: plugins.Quarantine, Failed: true}, readErr
	}
	if err != nil {
		out = plugins.Verdict{Decision: plugins.Quarantine, Failed: true, Reason: child.Said(err)}
	}
	return out, nil
}

// pipe makes a pipe to the process that is called by conn, or returns nil.
func (m *member) pipe(conn grpc.ClientConnInterface) *os.File {
	m.mu.Lock()
	c := m.child
	m.pipes++
	n := m.pipes
	m.mu.Unlock()
	if c == nil || c.Conn() != conn {
		return nil
	}
	f, err := makePipe(filepath.Join(c.Folder(), fmt.Sprintf("scan-%d", n)))
	if err != nil {
		return nil
	}
	return f
}

// fill writes a file into a pipe, until it ends or nobody wants more. Its error
// is that of reading.
func fill(pipe *os.File, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		_ = pipe.Close() // the plugin waits for no more
		return err
	}
	defer r.Close()
	buf := make([]byte, scanChunk)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := pipe.Write(buf[:n]); err != nil {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			_ = pipe.Close()
			return err
		}
	}
}

// pour sends a file, until it ends or nobody wants more. Its error is that of
// reading.
func pour(stream grpc.ClientStreamingClient[pluginv1.ScanContentRequest, pluginv1.ScanContentResponse], open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, scanChunk)
	data := &pluginv1.ScanContentRequest_Data{}
	msg := &pluginv1.ScanContentRequest{Part: data}
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			data.Data = buf[:n] // Send has made bytes of it when it returns
			if stream.Send(msg) != nil {
				return nil // it has answered, or is gone
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
