package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/host"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

func (r *run) filters() []check {
	ask := func(ctx context.Context, list ...host.Release) error {
		return r.answered(plugins.FilterManifest, func() error {
			_, err := r.host.Filter(ctx, list...)
			return err
		})
	}
	var many []host.Release
	for i := range uint64(64) {
		many = append(many, usual(i+1))
	}
	return []check{
		{"a release", func(ctx context.Context) error { return ask(ctx, usual(1)) }},
		{"64 releases at once", func(ctx context.Context) error { return ask(ctx, many...) }},
		{"the largest release", func(ctx context.Context) error { return ask(ctx, large()) }},
		{"hostile releases", func(ctx context.Context) error { return ask(ctx, hostile()...) }},
		{"8 calls at the same time", func(ctx context.Context) error {
			return atOnce(8, func() error { return ask(ctx, many[:8]...) })
		}},
		{"calls that are cancelled", cancelled(func(ctx context.Context) error { return ask(ctx, usual(1)) })},
		{"the same answer again", func(ctx context.Context) error {
			a, err := r.host.Filter(ctx, many[:4]...)
			if err != nil {
				return err
			}
			b, err := r.host.Filter(ctx, many[:4]...)
			for i := range b {
				if err == nil && a[i].Decision != b[i].Decision {
					err = fmt.Errorf("of release %d it says %v, and then %v", i+1, a[i].Decision, b[i].Decision)
				}
			}
			return err
		}},
	}
}

// atOnce calls fn n times at the same time.
func atOnce(n int, fn func() error) error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = fn() })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (r *run) plans() []check {
	ask := func(ctx context.Context, rel host.Release) error {
		return r.answered(plugins.PlanFetch, func() error {
			var files []host.Planned
			for _, e := range rel.Body.Entries {
				files = append(files, host.Planned{Name: e.Name, Path: e.Name})
			}
			_, err := r.host.Plan(ctx, "aml://test", rel, files, map[string]string{"label": "value"})
			return err
		})
	}
	return []check{
		{"a plan", func(ctx context.Context) error { return ask(ctx, usual(1)) }},
		{"the largest plan", func(ctx context.Context) error { return ask(ctx, large()) }},
		{"hostile plans", func(ctx context.Context) error { return errors.Join(ask(ctx, hostile()[0]), ask(ctx, hostile()[1])) }},
		{"calls that are cancelled", cancelled(func(ctx context.Context) error { return ask(ctx, usual(1)) })},
	}
}

// largeFile is what a scanner is shown, in bytes.
const largeFile = 16 << 20

func (r *run) scans() []check {
	ask := func(ctx context.Context, e channel.FileEntry, content func() io.Reader) error {
		return r.answered(plugins.ScanContent, func() error {
			_, err := r.host.Scan(ctx, host.Content{Channel: channel.ID{1}, Kind: channel.Media, Entry: e, Open: func() (io.ReadCloser, error) { return io.NopCloser(content()), nil }})
			return err
		})
	}
	text := func(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }
	long := bytes.Repeat([]byte("0123456789abcde\n"), largeFile/16)
	return []check{
		{"a file", func(ctx context.Context) error { return ask(ctx, entry("a.txt", "text/plain", 5), text("hello")) }},
		{"an empty file", func(ctx context.Context) error { return ask(ctx, entry("a.txt", "text/plain", 0), text("")) }},
		{"a file of 16 MiB", func(ctx context.Context) error {
			return ask(ctx, entry("a.bin", "application/octet-stream", largeFile), func() io.Reader { return bytes.NewReader(long) })
		}},
		{"files with hostile names", func(ctx context.Context) error {
			var errs []error
			for _, e := range hostile()[0].Body.Entries {
				e.Size = 5
				errs = append(errs, ask(ctx, e, text("MZ\x00\xff\n")))
			}
			return errors.Join(errs...)
		}},
		{"8 files at the same time", func(ctx context.Context) error {
			return atOnce(8, func() error {
				return ask(ctx, entry("a.bin", "", 1<<20), func() io.Reader { return bytes.NewReader(long[:1<<20]) })
			})
		}},
		{"files that are cancelled", cancelled(func(ctx context.Context) error {
			return ask(ctx, entry("a.bin", "", largeFile), func() io.Reader { return bytes.NewReader(long) })
		})},
	}
}

func (r *run) drafts() []check {
	ask := func(ctx context.Context, id channel.ID, b *channel.Body) error {
		_, err := r.host.BeforePublish(ctx, id, host.Draft{Title: b.Title, Description: b.Description, Metadata: b.Metadata, Entries: b.Entries})
		if errors.Is(err, host.ErrDenied) { // that is an answer
			err = nil
		}
		return err
	}
	return []check{
		{"a draft", func(ctx context.Context) error { return ask(ctx, channel.ID{1}, usual(1).Body) }},
		{"a draft that founds its channel", func(ctx context.Context) error { return ask(ctx, channel.ID{}, usual(1).Body) }},
		{"the largest draft", func(ctx context.Context) error { return ask(ctx, channel.ID{1}, large().Body) }},
		{"hostile drafts", func(ctx context.Context) error {
			return errors.Join(ask(ctx, channel.ID{1}, hostile()[0].Body), ask(ctx, channel.ID{1}, hostile()[1].Body))
		}},
		{"calls that are cancelled", cancelled(func(ctx context.Context) error { return ask(ctx, channel.ID{1}, usual(1).Body) })},
	}
}

// How much of a source is looked at.
const (
	maxItems = 100
	maxOpen  = 4
)

// errEnough ends a poll.
var errEnough = errors.New("enough")

func (r *run) sources() []check {
	from := r.cfg.From
	var items []*pluginv1.SourceItem
	poll := func(ctx context.Context, from string, cursor []byte, keep bool) error {
		n := 0
		err := r.host.Poll(ctx, r.id, from, cursor, func(item *pluginv1.SourceItem, _ []byte) error {
			if item != nil && keep {
				items = append(items, item)
			}
			if n++; n >= maxItems {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	}
	out := []check{
		{"something that is not there", func(ctx context.Context) error {
			_ = poll(ctx, "\x01 no such thing %s/../..", []byte("a cursor that it never gave"), false) // an error is fine
			return nil
		}},
		{"a handle that it never gave", func(ctx context.Context) error {
			if err := r.host.Open(ctx, r.id, "../../../etc/passwd\x00{}", 1<<62, 1<<20, io.Discard); err == nil {
				return errors.New("it opens it")
			}
			return nil
		}},
	}
	if r.cfg.From == "" {
		if r.m.Has(plugins.Source) {
			r.leave(plugins.Source, "nothing is polled, no file opened and no call cancelled; --from says with what")
		}
		return out
	}
	return append([]check{
		{"a poll", func(ctx context.Context) error { return poll(ctx, from, nil, true) }},
		{"items by the rules", func(context.Context) error {
			seen := map[string]bool{}
			for _, it := range items {
				if it.Removed {
					continue
				}
				if seen[it.Id] {
					return fmt.Errorf("two items are called %.80q", it.Id)
				}
				seen[it.Id] = true
				if len(it.Files) == 0 {
					return fmt.Errorf("item %.80q has no file", it.Id)
				}
				for _, f := range it.Files {
					if err := channel.ValidName(channel.NormalizeName(f.GetName())); err != nil {
						return fmt.Errorf("item %.80q: %w", it.Id, err)
					}
				}
			}
			return nil
		}},
		{"the same items again", func(ctx context.Context) error {
			before := items
			items = nil
			if err := poll(ctx, from, nil, true); err != nil {
				return err
			}
			same := slices.EqualFunc(before, items, func(a, b *pluginv1.SourceItem) bool { return a.Id == b.Id && a.Version == b.Version })
			if !same {
				return fmt.Errorf("of %d items, and then %d, ids or versions differ", len(before), len(items))
			}
			return nil
		}},
		{"files, whole and from the middle on", func(ctx context.Context) error {
			for _, it := range items[:min(maxOpen, len(items))] {
				for _, f := range it.Files {
					var whole, rest bytes.Buffer
					err := r.host.Open(ctx, r.id, f.GetHandle(), 0, 64<<20, &whole)
					if err != nil && f.GetOptional() {
						continue
					}
					at := whole.Len() / 2
					if err == nil {
						err = r.host.Open(ctx, r.id, f.GetHandle(), uint64(at), 64<<20, &rest)
					}
					if err != nil {
						return fmt.Errorf("%s: %w", f.GetName(), err)
					}
					if !bytes.Equal(whole.Bytes()[at:], rest.Bytes()) {
						return fmt.Errorf("%s: from byte %d on it has other bytes", f.GetName(), at)
					}
				}
			}
			return nil
		}},
		{"polls that are cancelled", func(ctx context.Context) error {
			gone, cancel := context.WithCancel(ctx)
			_ = r.host.Poll(gone, r.id, from, nil, func(*pluginv1.SourceItem, []byte) error { cancel(); return nil }) // after its first item
			cancel()
			again := func(ctx context.Context) error { return poll(ctx, from, nil, false) }
			return settled(ctx, cancelled(again)(ctx), again)
		}},
		{"files that are cancelled", cancelled(func(ctx context.Context) error {
			for _, it := range items[:min(1, len(items))] {
				for _, f := range it.Files[:min(1, len(it.Files))] {
					if err := r.host.Open(ctx, r.id, f.GetHandle(), 0, 64<<20, io.Discard); err != nil && !f.GetOptional() {
						return err
					}
				}
			}
			return nil
		})},
	}, out...)
}

func (r *run) mirrors() []check {
	blob := bytes.Repeat([]byte("sealed"), 300_000)
	id := blobnet.Sum(blob)
	unknown := blobnet.ID(sha256.Sum256([]byte("nobody has this")))
	return []check{
		{"a blob that is put, had and deleted", func(ctx context.Context) error {
			for range 2 { // again is fine
				if err := r.host.Put(ctx, r.id, id, blob); err != nil {
					return err
				}
			}
			has, err := r.host.HasBlobs(ctx, r.id, []blobnet.ID{id, unknown})
			if err != nil || !has[0] || has[1] {
				return fmt.Errorf("after the put it says that it has %v: %v", has, err)
			}
			if _, err := r.host.Get(ctx, r.id, id); err != nil {
				return err
			}
			if err := r.host.Delete(ctx, r.id, []blobnet.ID{id, unknown}); err != nil {
				return err
			}
			if _, err := r.host.Get(ctx, r.id, id); !errors.Is(err, blobnet.ErrNotFound) {
				return fmt.Errorf("after it was deleted: %v", err)
			}
			return nil
		}},
		{"a blob that is not there", func(ctx context.Context) error {
			if _, err := r.host.Get(ctx, r.id, unknown); !errors.Is(err, blobnet.ErrNotFound) {
				return fmt.Errorf("it does not say so: %v", err)
			}
			return nil
		}},
		{"bytes that are not the blob's", func(ctx context.Context) error {
			_ = r.host.Put(ctx, r.id, unknown, []byte("something else")) // it may refuse
			if _, err := r.host.Get(ctx, r.id, unknown); err == nil {
				return errors.New("it gives them back")
			}
			return r.host.Delete(ctx, r.id, []blobnet.ID{unknown})
		}},
		{"1,024 at once, and none", func(ctx context.Context) error {
			if _, err := r.host.HasBlobs(ctx, r.id, make([]blobnet.ID, 1024)); err != nil {
				return err
			}
			_, err := r.host.HasBlobs(ctx, r.id, nil)
			return err
		}},
		{"puts that are cancelled", cancelled(func(ctx context.Context) error {
			return errors.Join(r.host.Put(ctx, r.id, id, blob), r.host.Delete(ctx, r.id, []blobnet.ID{id}))
		})},
	}
}

func (r *run) renders() []check {
	render := func(ctx context.Context, base string, list ...host.Release) error {
		formats := r.m.Formats
		if len(formats) == 0 {
			formats = []string{""}
		}
		for _, format := range formats {
			_, _, err := r.host.Render(ctx, r.id, host.View{Channel: channel.ID{1}, Title: "A <title>", Kind: channel.Media, Format: format, BaseURL: base, Releases: func(yield func(host.Release, error) bool) {
				for _, one := range list {
					if !yield(one, nil) {
						return
					}
				}
			}})
			if err != nil {
				return fmt.Errorf("%s: %w", format, err)
			}
		}
		return nil
	}
	var many []host.Release
	for i := range uint64(2000) {
		many = append(many, usual(2000-i))
	}
	return []check{
		{"a document", func(ctx context.Context) error { return render(ctx, "https://example.org/x", many[:3]...) }},
		{"a channel with nothing in it", func(ctx context.Context) error { return render(ctx, "") }},
		{"2,000 releases", func(ctx context.Context) error { return render(ctx, "https://example.org", many...) }},
		{"the largest release", func(ctx context.Context) error { return render(ctx, "https://example.org", large()) }},
		{"hostile releases", func(ctx context.Context) error { return render(ctx, "https://example.org", hostile()...) }},
		{"calls that are cancelled", cancelled(func(ctx context.Context) error { return render(ctx, "", many[:100]...) })},
	}
}

func (r *run) signs() []check {
	// each signs with every key; the host verifies it.
	each := func(ctx context.Context, message []byte) error {
		keys, err := r.host.PublicKeys(ctx, r.id)
		for _, k := range keys {
			if err == nil {
				_, err = r.host.Sign(ctx, r.id, k, message)
			}
		}
		return err
	}
	small := []byte("DSSEv1 4 test 4 test")
	return []check{
		{"a signature of each key", func(ctx context.Context) error {
			keys, err := r.host.PublicKeys(ctx, r.id)
			if err == nil && len(keys) == 0 {
				r.leave(plugins.Sign, "it has no key, so nothing is signed; its configuration may have to name one")
			}
			return errors.Join(err, each(ctx, small))
		}},
		{"a signature of the largest message", func(ctx context.Context) error {
			return each(ctx, append(slices.Clone(small), make([]byte, channel.MaxManifest)...))
		}},
		{"calls that are cancelled", cancelled(func(ctx context.Context) error { return each(ctx, small) })},
		{"a key that it has not", func(ctx context.Context) error {
			if _, err := r.host.Sign(ctx, r.id, channel.PublicKey{1}, small); err == nil {
				return errors.New("it signs")
			}
			return nil
		}},
	}
}

// observed is how many events are told at once.
const observed = 300

func (r *run) observes() []check {
	sent := uint64(0)
	tell := func(i int) {
		text := map[string]any{"event": "manifest", "channel": "abc", "n": i}
		switch i % 4 {
		case 1:
			text["title"] = strings.Repeat("\u202e<x>\x00", 2000)
		case 2:
			text = map[string]any{"event": "unheard-of"}
		}
		r.host.Observed(fmt.Sprint(text["event"]), text)
		sent++
	}
	// wait calls tick until it has dealt with all that is kept of what was told, as
	// one that is slow misses some.
	wait := func(ctx context.Context, tick func()) error {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for quiet := 0; quiet < 10; {
			tick()
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return fmt.Errorf("of %d events it has not dealt with all: %w", sent, context.Cause(ctx))
			}
			kept, err := r.told.Last(ctx)
			if err != nil {
				return err
			}
			for _, s := range r.host.Status() {
				if s.State == host.Off {
					return errors.New("it is off: " + s.Reason)
				}
				if quiet++; s.Observed == 0 || s.Observed < kept {
					quiet = 0
				}
			}
		}
		return nil
	}
	return []check{{"an event", func(ctx context.Context) error { // it begins with what happens after its start
		n := 0
		return wait(ctx, func() {
			if n++; n%20 == 0 {
				tell(0)
			}
		})
	}}, {"300 events, hostile ones among them", func(ctx context.Context) error {
		for i := range observed {
			tell(i)
		}
		return wait(ctx, func() {})
	}}}
}
