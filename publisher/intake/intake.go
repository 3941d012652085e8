// Package intake turns what a source brings, such as the episodes of a feed, into
// drafts of releases of one channel: each thing once, its edits and its removal.
//
// What it has published it finds in the channel itself: each file's attrs say
// which source and thing, and which version of it, the file is of. So nothing is
// published twice, however the process ends: the signed log is the memory, and
// the cursor that is kept beside it only spares work. It must never remove or
// replace a file that is not of its source, nor bring back one that its
// publisher has taken back.
package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// The attrs by which a file says what it is of.
const (
	AttrSource  = "source"         // name of the source
	AttrID      = "source-id"      // of the thing
	AttrVersion = "source-version" // of the thing
	attrHandle  = "source-handle"  // what its bytes were got by, hashed
)

// Item is one thing that a source has, as it says.
type Item struct {
	ID          string
	Version     string
	Title       string
	Description string
	Metadata    map[string]string
	Date        time.Time // zero: not known
	Files       []File
	Removed     bool
}

// File is one file of an Item.
type File struct {
	Name   string // in the channel
	Handle string // what Open is asked for
	Attrs  map[string]string

	MediaType string // empty: by its name and content
	Size      uint64 // 0: not known

	Optional bool // if its bytes cannot be had, the thing is published without it
}

// Source has things. Poll calls each for what is new after the cursor, with the
// cursor after it and, where only that has moved, no item; an error of each ends
// it. Open writes a file's bytes from an offset on.
type Source interface {
	Poll(ctx context.Context, cursor []byte, each func(item *Item, cursor []byte) error) error
	Open(ctx context.Context, handle string, offset int64, limit int64, w io.Writer) error
}

// View is what is in the channel. *catalog.Catalog is one.
type View interface {
	Entries(ctx context.Context, id channel.ID, f catalog.EntryFilter) iter.Seq2[catalog.Entry, error]
	Entry(ctx context.Context, id channel.ID, name string) (catalog.Entry, error)
}

// Config is what New needs.
type Config struct {
	Name    string     // of the source, among those of the channel
	Channel channel.ID // zero: it is founded by the first release
	Source  Source
	View    View
	// Publish signs and stores a release. It returns the channel, which it may have
	// founded.
	Publish func(ctx context.Context, d channel.Draft) (channel.ID, error)
	// Save keeps the cursor. What is published is on disk by then.
	Save    func(cursor []byte) error
	Temp    string // an existing folder for files on their way
	MaxFile int64  // bytes of one file; if zero, 4 GiB
	// Problem is told why a thing, whose id is quoted and cut, is not published, which
	// is tried again at the next poll. It may be nil.
	Problem func(item string, err error)

	most int // things of one poll that take more than a look; if zero, maxDone
}

// Result counts what a poll has done.
type Result struct {
	Published int `json:"published"` // new things
	Changed   int `json:"changed"`   // things that were edited
	Removed   int `json:"removed"`
	Same      int `json:"same"`      // things that were here as they are
	Retracted int `json:"retracted"` // things that the channel's publisher has taken back
	Failed    int `json:"failed"`    // things that could not be published, and are tried again

	// More: the poll was long, and has ended before the source did. The next one goes on.
	More bool `json:"more,omitempty"`
}

// maxFailed is how many things in a row may fail before a poll is given up.
const maxFailed = 64

// Bounds of one poll: no source goes on for ever, nor holds up others. What is here
// already counts as something that is seen alone, so that the next poll gets further.
const (
	maxDone = 4096    // things published, changed, removed or failed
	maxSeen = 1 << 18 // things, and cursors without one
	maxTime = time.Hour
)

// errMore ends a poll that is long enough.
var errMore = errors.New("more at the next poll")

// ErrTooLarge: a file has more bytes than a source may bring. An error of
// Source.Open that wraps it is final.
var ErrTooLarge = errors.New("file is too large")

// have is what is in the channel of a thing.
type have struct {
	version string
	entries map[string]catalog.Entry // by name
}

// intake is one poll.
type intake struct {
	cfg    Config
	have   map[string]have // by id
	res    Result
	done   int  // things that took more than a look
	failed int  // in a row
	held   bool // the cursor may not move past what has failed
}

// Poll polls once. A failure of the source comes back; of single things Problem is
// told. cursor is what Save was given last.
func Poll(ctx context.Context, cfg Config, cursor []byte) (Result, error) {
	if cfg.MaxFile == 0 {
		cfg.MaxFile = 4 << 30
	}
	if cfg.most == 0 {
		cfg.most = maxDone
	}
	if cfg.Problem == nil {
		cfg.Problem = func(string, error) {}
	}
	in := &intake{cfg: cfg, have: map[string]have{}}
	if err := in.look(ctx); err != nil {
		return in.res, err
	}
	last := cursor
	var unsaved []byte // a cursor that is kept when something is published, or at the end
	save := func() error {
		if unsaved == nil {
			return nil
		}
		kept := unsaved
		unsaved = nil
		return cfg.Save(kept)
	}
	began, seen := time.Now(), 0
	err := cfg.Source.Poll(ctx, cursor, func(item *Item, after []byte) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if seen++; seen > maxSeen || in.done >= cfg.most || time.Since(began) > maxTime {
			return errMore
		}
		before := in.done
		if item != nil {
			if err := in.one(ctx, *item); err != nil {
				return err
			}
		}
		if in.held || string(after) == string(last) {
			return nil
		}
		last = append([]byte{}, after...)
		if unsaved = last; in.done > before {
			return save()
		}
		return nil
	})
	if errors.Is(err, errMore) {
		in.res.More, err = true, nil
	}
	return in.res, errors.Join(err, save())
}

// look finds what is in the channel of this source.
func (in *intake) look(ctx context.Context) error {
	if in.cfg.Channel.IsZero() {
		return nil
	}
	for e, err := range in.cfg.View.Entries(ctx, in.cfg.Channel, catalog.EntryFilter{}) {
		if err != nil {
			return fmt.Errorf("reading what is in the channel: %w", err)
		}
		if e.Attrs[AttrSource] == in.cfg.Name {
			in.keep(e)
		}
	}
	return nil
}

func (in *intake) keep(e catalog.Entry) {
	id := e.Attrs[AttrID]
	h, ok := in.have[id]
	if !ok {
		h = have{version: e.Attrs[AttrVersion], entries: map[string]catalog.Entry{}}
		in.have[id] = h
	}
	h.entries[e.Name] = e
}

// one deals with one item. It fails only with what ends the poll.
func (in *intake) one(ctx context.Context, item Item) error {
	id := itemID(item.ID)
	version := itemVersion(item.Version)
	before, known := in.have[id]
	switch {
	case item.Removed && !known, known && !item.Removed && before.version == version:
		in.res.Same++
		return nil
	}
	in.done++
	err := in.change(ctx, item, id, version, before)
	if errors.Is(err, blobnet.ErrNotFound) { // what is in the channel is not here any more
		err = in.change(ctx, item, id, version, before.anew())
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errRetracted):
		in.done--
		in.res.Retracted++
		return nil
	case err != nil:
		in.cfg.Problem(shown(item.ID), err)
		in.held = true
		in.res.Failed++
		if errors.Is(err, ErrTooLarge) {
			return nil // which says nothing of what comes after
		}
		if in.failed++; in.failed >= maxFailed || errors.Is(err, blobnet.ErrFull) {
			return fmt.Errorf("%s: %w", shown(item.ID), err)
		}
		return nil
	case item.Removed:
		in.res.Removed++
	case known:
		in.res.Changed++
	default:
		in.res.Published++
	}
	in.failed = 0
	return nil
}

// errRetracted: its files were taken back by the publisher.
var errRetracted = errors.New("it was taken back")

// change publishes a new thing, an edit, or a removal.
func (in *intake) change(ctx context.Context, item Item, id, version string, before have) error {
	d := channel.Draft{Title: line(item.Title, channel.MaxTitle)}
	if item.Removed {
		d.Title = line("Removed: "+item.Title, channel.MaxTitle)
	} else {
		d.Description = prose(item.Description, channel.MaxDescription)
		d.Metadata = pairs(item.Metadata, channel.MaxPairs)
		dir, err := os.MkdirTemp(in.cfg.Temp, "item-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if d.Entries, err = in.entries(ctx, item, id, version, before, dir); err != nil {
			return err
		}
	}
	now := map[string]bool{}
	for _, e := range d.Entries {
		now[nameOf(e)] = true
	}
	for name := range before.entries {
		if !now[name] {
			d.Remove = append(d.Remove, name)
		}
	}
	slices.Sort(d.Remove)
	ch, err := in.cfg.Publish(ctx, d)
	if err != nil {
		return err
	}
	in.cfg.Channel = ch
	delete(in.have, id)
	for _, e := range d.Entries { // so that the thing is known within this poll
		h := catalog.Entry{}
		h.Name, h.Attrs = nameOf(e), map[string]string{AttrID: id, AttrVersion: version}
		in.keep(h)
	}
	return nil
}

func nameOf(e channel.DraftEntry) string {
	if e.Entry != nil {
		return e.Entry.Name
	}
	return e.Name
}

// entries gets the files of a thing, into dir where they are not in the channel
// already.
func (in *intake) entries(ctx context.Context, item Item, id, version string, before have, dir string) ([]channel.DraftEntry, error) {
	var out []channel.DraftEntry
	retracted, seen := 0, map[string]bool{}
	for i, f := range item.Files {
		name := channel.NormalizeName(f.Name)
		if err := channel.ValidName(name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("%w: %q twice", channel.ErrName, name)
		}
		seen[name] = true
		switch gone, err := in.free(ctx, name, id); {
		case err != nil:
			return nil, err
		case gone:
			retracted++
			continue
		}
		attrs := pairs(f.Attrs, channel.MaxPairs-4)
		if attrs == nil {
			attrs = map[string]string{}
		}
		handle := sum(f.Handle)
		attrs[AttrSource], attrs[AttrID], attrs[AttrVersion], attrs[attrHandle] = in.cfg.Name, id, version, handle
		if e, ok := same(before, handle, mediaType(f.MediaType)); ok {
			entry := e.FileEntry
			entry.Name, entry.Attrs, entry.Mode = name, attrs, fileMode
			out = append(out, channel.DraftEntry{Entry: &entry})
			continue
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := in.get(ctx, f, path); err != nil && f.Optional && ctx.Err() == nil {
			in.cfg.Problem(shown(item.ID), fmt.Errorf("it is published without %s: %w", name, err))
			continue
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := os.Chmod(path, fileMode); err != nil { // whatever the umask
			return nil, err
		}
		if !item.Date.IsZero() {
			if err := os.Chtimes(path, item.Date, item.Date); err != nil {
				return nil, err
			}
		}
		out = append(out, channel.DraftEntry{Path: path, Name: name, MediaType: mediaType(f.MediaType), Attrs: attrs})
	}
	switch {
	case len(out) == 0 && retracted > 0:
		return nil, errRetracted
	case len(out) == 0:
		return nil, errors.New("it has no file")
	}
	return out, nil
}

// free makes sure that a name is not another's. gone: the publisher has taken it
// back, and said why, which a source's own removals do not.
func (in *intake) free(ctx context.Context, name, id string) (gone bool, err error) {
	if in.cfg.Channel.IsZero() {
		return false, nil
	}
	e, err := in.cfg.View.Entry(ctx, in.cfg.Channel, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case e.Removed:
		return e.Reason != "", nil
	case e.Attrs[AttrSource] != in.cfg.Name || e.Attrs[AttrID] != id:
		return false, fmt.Errorf("%w: the channel has another file %q", fs.ErrExist, name)
	}
	return false, nil
}

// anew is have of which no file's bytes can be taken.
func (h have) anew() have {
	out := have{version: h.version, entries: map[string]catalog.Entry{}}
	for name, e := range h.entries {
		e.SHA256 = [32]byte{}
		out.entries[name] = e
	}
	return out
}

// same finds a file whose bytes were got in the same way, as one of a media type, if
// that is said.
func same(before have, handle, media string) (catalog.Entry, bool) {
	for _, name := range slices.Sorted(maps.Keys(before.entries)) {
		if e := before.entries[name]; e.Attrs[attrHandle] == handle && e.SHA256 != [32]byte{} {
			e.MediaType = cmp.Or(media, e.MediaType)
			return e, true
		}
	}
	return catalog.Entry{}, false
}

// fileMode is that of every file that a source brings: it goes into the release, and
// what a subscription writes is often served by another user's web server. On its way
// here nobody else reads it.
const fileMode = 0o644

// tries is how often a file is gone on with where it broke off.
const tries = 3

// get writes a file to path.
func (in *intake) get(ctx context.Context, from File, path string) error {
	if from.Size > uint64(in.cfg.MaxFile) {
		return in.tooLarge(fmt.Sprintf("it has %d bytes, more than", from.Size))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for try := 1; ; try++ {
		at, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if err = in.cfg.Source.Open(ctx, from.Handle, at, in.cfg.MaxFile-at, f); err == nil {
			return f.Close()
		}
		if errors.Is(err, ErrTooLarge) {
			return in.tooLarge("it has more than")
		}
		now, _ := f.Seek(0, io.SeekEnd)
		if ctx.Err() != nil || try == tries || now == at { // it does not get on
			return err
		}
	}
}

func (in *intake) tooLarge(has string) error {
	return fmt.Errorf("%w: %s the %d bytes that this source may bring in one; aml source-add --max-file allows more", ErrTooLarge, has, in.cfg.MaxFile)
}
