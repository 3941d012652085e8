package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// world is a channel and a source.
type world struct {
	t       *testing.T
	temp    string
	entries map[string]catalog.Entry
	drafts  []channel.Draft
	refuse  error // of the next publication

	tooLarge bool // it says so when a file has more than it may

	items  []Item // that the source yields, with cursors 1, 2, ...
	bytes  map[string]string
	breaks map[string]int // how often a file breaks off after half of its rest
	opened []string

	cursor   []byte
	problems []string
}

func newWorld(t *testing.T) *world {
	return &world{t: t, temp: t.TempDir(), entries: map[string]catalog.Entry{}, bytes: map[string]string{}, breaks: map[string]int{}}
}

func (w *world) Entries(context.Context, channel.ID, catalog.EntryFilter) iter.Seq2[catalog.Entry, error] {
	return func(yield func(catalog.Entry, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(w.entries)) {
			if e := w.entries[name]; !e.Removed && !yield(e, nil) {
				return
			}
		}
	}
}

func (w *world) Entry(_ context.Context, _ channel.ID, name string) (catalog.Entry, error) {
	if e, ok := w.entries[name]; ok {
		return e, nil
	}
	return catalog.Entry{}, fs.ErrNotExist
}

func (w *world) Poll(_ context.Context, _ []byte, each func(*Item, []byte) error) error {
	for i, item := range w.items {
		if err := each(&item, []byte(fmt.Sprint(i+1))); err != nil {
			return err
		}
	}
	return nil
}

var errBroken = errors.New("the line broke")

func (w *world) Open(_ context.Context, handle string, offset, limit int64, to io.Writer) error {
	w.opened = append(w.opened, fmt.Sprintf("%s@%d", handle, offset))
	text, ok := w.bytes[handle]
	if !ok {
		return fs.ErrNotExist
	}
	text = text[offset:]
	if int64(len(text)) > limit && w.tooLarge {
		_, _ = io.WriteString(to, text[:limit/2])
		return ErrTooLarge
	}
	if int64(len(text)) > limit {
		return errors.New("too large")
	}
	if w.breaks[handle] > 0 {
		w.breaks[handle]--
		_, _ = io.WriteString(to, text[:len(text)/2])
		return errBroken
	}
	_, err := io.WriteString(to, text)
	return err
}

func (w *world) publish(_ context.Context, d channel.Draft) (channel.ID, error) {
	if err := w.refuse; err != nil {
		w.refuse = nil
		return channel.ID{}, err
	}
	if err := d.Validate(); err != nil {
		return channel.ID{}, err
	}
	for _, e := range d.Entries {
		entry := catalog.Entry{}
		if e.Entry != nil {
			entry.FileEntry = *e.Entry
		} else {
			text, err := os.ReadFile(e.Path)
			if err != nil {
				return channel.ID{}, err
			}
			info, _ := os.Stat(e.Path)
			entry.Name, entry.Attrs, entry.SHA256, entry.Modified = e.Name, e.Attrs, [32]byte{1, byte(len(text))}, channel.TimeOf(info.ModTime())
			entry.Mode = uint32(info.Mode().Perm())
		}
		w.entries[entry.Name] = entry
	}
	for _, name := range d.Remove {
		gone := catalog.Entry{Removed: true}
		gone.Name = name
		w.entries[name] = gone
	}
	w.drafts = append(w.drafts, d)
	return channel.ID{1}, nil
}

func (w *world) config() Config {
	return Config{
		Name: "feed", Channel: channel.ID{1}, Source: w, View: w, Publish: w.publish, Temp: w.temp, MaxFile: 1000,
		Save:    func(c []byte) error { w.cursor = c; return nil },
		Problem: func(item string, err error) { w.problems = append(w.problems, item+": "+err.Error()) },
	}
}

// poll polls with what the source has now.
func (w *world) poll(items ...Item) Result {
	w.t.Helper()
	w.items = items
	res, err := Poll(context.Background(), w.config(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if left, _ := os.ReadDir(w.temp); len(left) != 0 {
		w.t.Errorf("%v are left", left)
	}
	return res
}

// thing is an item with one file, whose bytes are there.
func (w *world) thing(id, version string) Item {
	handle := "of " + id
	w.bytes[handle] = "bytes of " + id
	return Item{ID: id, Version: version, Title: id, Date: time.Unix(1e9, 0), Files: []File{{Name: id + ".mp3", Handle: handle}}}
}

func TestAThingIsPublishedOnceEditedAndRemoved(t *testing.T) {
	w := newWorld(t)
	a, b := w.thing("a", "1"), w.thing("b", "1")
	if res := w.poll(a, b); res != (Result{Published: 2}) || string(w.cursor) != "2" {
		t.Errorf("%+v, cursor %s", res, w.cursor)
	}
	if e := w.entries["a.mp3"]; e.Modified != 1e9 || e.Attrs[AttrSource] != "feed" || e.Attrs[AttrID] != "a" || e.Attrs[AttrVersion] != "1" {
		t.Errorf("got %+v", e)
	}
	if res := w.poll(a, b, a); res != (Result{Same: 3}) { // whatever the cursor says
		t.Errorf("again: %+v", res)
	}
	opened := len(w.opened)
	a.Version, a.Title, a.Files[0].Name = "2", "A", "A.mp3"
	if res := w.poll(a, b); res != (Result{Changed: 1, Same: 1}) || len(w.opened) != opened {
		t.Errorf("an edit: %+v, opened %v", res, w.opened[opened:])
	}
	if d := w.drafts[2]; d.Entries[0].Entry == nil || !slices.Equal(d.Remove, []string{"a.mp3"}) {
		t.Errorf("the edit is %+v", d)
	}
	gone := Item{ID: "b", Removed: true}
	if res := w.poll(gone, gone, Item{ID: "unknown", Removed: true}); res != (Result{Removed: 1, Same: 2}) || !w.entries["b.mp3"].Removed {
		t.Errorf("a removal: %+v", res)
	}
	if res := w.poll(b); res != (Result{Published: 1}) { // it came back
		t.Errorf("after it came back: %+v", res)
	}
}

// A web server that serves a subscription's folder is another user.
func TestEverybodyMayReadWhatASourceBrings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no such modes")
	}
	w := newWorld(t)
	a := w.thing("a", "1")
	w.poll(a)
	if e := w.entries["a.mp3"]; e.Mode != 0o644 {
		t.Errorf("mode %o", e.Mode)
	}
	e := w.entries["a.mp3"]
	e.Mode = 0o600 // as it was until now
	w.entries["a.mp3"] = e
	a.Version = "2"
	if res := w.poll(a); res != (Result{Changed: 1}) || w.entries["a.mp3"].Mode != 0o644 {
		t.Errorf("an edit: %+v, mode %o", res, w.entries["a.mp3"].Mode)
	}
}

func TestWhatItsPublisherHasTakenBackStaysSo(t *testing.T) {
	w := newWorld(t)
	a := w.thing("a", "1")
	w.poll(a)
	gone := catalog.Entry{Removed: true, Reason: "a mistake"}
	w.entries["a.mp3"] = gone
	a.Version = "2"
	if res := w.poll(a); res != (Result{Retracted: 1}) || len(w.drafts) != 1 {
		t.Errorf("%+v, %d releases", res, len(w.drafts))
	}
}

func TestAnothersFilesAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	other := catalog.Entry{}
	other.Name, other.Attrs = "a.mp3", map[string]string{AttrSource: "other", AttrID: "a"}
	w.entries["a.mp3"] = other
	if res := w.poll(w.thing("a", "1"), Item{ID: "a", Removed: true}); res.Failed != 1 || res.Same != 1 || len(w.drafts) != 0 || !strings.Contains(w.problems[0], "another file") {
		t.Errorf("%+v %v", res, w.problems)
	}
}

func TestWhatFailsHoldsTheCursorAndNothingElse(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.thing("a", "1"), w.thing("b", "1"), w.thing("c", "1")
	delete(w.bytes, "of b")
	if res := w.poll(a, b, c); res != (Result{Published: 2, Failed: 1}) || string(w.cursor) != "1" {
		t.Errorf("%+v, cursor %q", res, w.cursor)
	}
	w.bytes["of b"] = "now"
	w.refuse = errors.New("a plugin says no")
	if res := w.poll(a, b, c); res != (Result{Same: 2, Failed: 1}) {
		t.Errorf("%+v", res)
	}
	if res := w.poll(a, b, c); res != (Result{Same: 2, Published: 1}) || string(w.cursor) != "3" {
		t.Errorf("%+v, cursor %q", res, w.cursor)
	}
	w.refuse = blobnet.ErrFull
	w.items = []Item{w.thing("d", "1"), w.thing("e", "1")}
	if res, err := Poll(context.Background(), w.config(), nil); !errors.Is(err, blobnet.ErrFull) || res.Failed != 1 {
		t.Errorf("a full store: %+v, %v", res, err)
	}
	var many []Item
	for i := range 2 * maxFailed {
		many = append(many, Item{ID: fmt.Sprint(i), Files: []File{{Name: "x" + fmt.Sprint(i), Handle: "missing"}}})
	}
	w.items = many
	if res, err := Poll(context.Background(), w.config(), nil); err == nil || res.Failed != maxFailed {
		t.Errorf("a source that has nothing: %+v, %v", res, err)
	}
}

func TestAFileThatBreaksOffIsGoneOnWithAndOneThatIsOptionalMayBeMissing(t *testing.T) {
	w := newWorld(t)
	a := w.thing("a", "1")
	w.breaks["of a"] = 2
	a.Files = append(a.Files, File{Name: "a.jpg", Handle: "missing", Optional: true})
	if res := w.poll(a); res != (Result{Published: 1}) || !slices.Equal(w.opened, []string{"of a@0", "of a@5", "of a@7", "missing@0"}) {
		t.Errorf("%+v, opened %v", res, w.opened)
	}
	b := w.thing("b", "1")
	w.bytes["of b"] = strings.Repeat("x", 1001)
	if res := w.poll(b); res.Failed != 1 || !strings.Contains(w.problems[len(w.problems)-1], "too large") {
		t.Errorf("%+v %v", res, w.problems)
	}
}

func TestBlobsThatAreGoneAreFetchedAnew(t *testing.T) {
	w := newWorld(t)
	a := w.thing("a", "1")
	w.poll(a)
	a.Version, w.refuse = "2", blobnet.ErrNotFound
	if res := w.poll(a); res != (Result{Changed: 1}) || len(w.opened) != 2 {
		t.Errorf("%+v, opened %v", res, w.opened)
	}
}

func TestHostileTextsAreMadeToFitOrRefused(t *testing.T) {
	w := newWorld(t)
	a := w.thing("a", "1")
	long := strings.Repeat("é", 20_000)
	a.ID, a.Version, a.Title, a.Description = "id\n"+long, long, "two\nlines \u202e\x1b[2J"+long, "a\tb\r\nc\x00\ufeff"+long
	a.Metadata = map[string]string{"k": long, "": "x", "empty": "", "bad\x00key\xff": "v"}
	for i := range 200 {
		a.Metadata[fmt.Sprintf("z%03d", i)] = "v"
	}
	a.Files[0].Attrs = a.Metadata
	if res := w.poll(a); res != (Result{Published: 1}) {
		t.Fatalf("%+v %v", res, w.problems)
	}
	d := w.drafts[0]
	body := channel.Body{Title: d.Title, Description: d.Description, Metadata: d.Metadata}
	if err := body.Validate(); err != nil || !strings.HasPrefix(d.Title, "two lines [2J") || len(d.Metadata) != channel.MaxPairs || len(d.Entries[0].Attrs) != channel.MaxPairs {
		t.Errorf("%v: %.40q, %d pairs, %d attrs", err, d.Title, len(d.Metadata), len(d.Entries[0].Attrs))
	}
	if res := w.poll(a); res != (Result{Same: 1}) {
		t.Errorf("again: %+v", res)
	}
	for _, name := range []string{"", "../x", "/x", "a\\b", "a//b", "x\x00"} {
		b := w.thing("b", "1")
		b.Files[0].Name = name
		if res := w.poll(b); res.Failed != 1 {
			t.Errorf("name %q: %+v", name, res)
		}
	}
	if res := w.poll(Item{ID: "none", Version: "1"}); res.Failed != 1 {
		t.Errorf("without files: %+v", res)
	}
}

func TestAFileThatIsTooLargeHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	w.tooLarge = true
	var items []Item
	for i := range 2 * maxFailed { // more in a row than may fail
		a := w.thing(fmt.Sprint("large", i), "1")
		w.bytes[a.Files[0].Handle] = strings.Repeat("x", 1001)
		items = append(items, a)
	}
	known := w.thing("known", "1")
	known.Files[0].Size = 1001
	items = append(items, known, w.thing("small", "1"))
	if res := w.poll(items...); res.Published != 1 || res.Failed != 2*maxFailed+1 || len(w.opened) != 2*maxFailed+1 {
		t.Errorf("%+v, opened %v", res, w.opened)
	}
	for _, p := range []string{w.problems[0], w.problems[2*maxFailed]} {
		if !strings.Contains(p, "1000 bytes") || !strings.Contains(p, "--max-file") {
			t.Errorf("it is said so: %s", p)
		}
	}
}

func TestAPollThatIsLongEndsAndTheNextOneGoesOn(t *testing.T) {
	w := newWorld(t)
	for i := range 12 {
		w.items = append(w.items, w.thing(fmt.Sprint(i), "1"))
	}
	cfg := w.config()
	cfg.most = 10
	for i, want := range []Result{{Published: 10, More: true}, {Same: 10, Published: 2}} {
		// It gets on though the source begins anew: what is here already takes but a look.
		if res, err := Poll(t.Context(), cfg, nil); err != nil || res != want || string(w.cursor) != []string{"10", "12"}[i] {
			t.Errorf("poll %d: %+v, %v, cursor %s", i, res, err, w.cursor)
		}
	}
}

// source is one that yields what it is given.
type source struct {
	*world
	yield func(each func(*Item, []byte) error) error
}

func (s source) Poll(_ context.Context, _ []byte, each func(*Item, []byte) error) error {
	return s.yield(each)
}

func TestASourceWithoutAnEndIsEnded(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]func(n int) (*Item, []byte){
		"cursors": func(n int) (*Item, []byte) { return nil, fmt.Append(nil, n) },
		"nothing": func(int) (*Item, []byte) { return nil, nil },
		"the same thing": func(n int) (*Item, []byte) {
			return &Item{ID: "gone", Removed: true}, fmt.Append(nil, n)
		},
	} {
		w := newWorld(t)
		saves := 0
		cfg := w.config()
		cfg.Save = func([]byte) error { saves++; return nil }
		cfg.Source = source{w, func(each func(*Item, []byte) error) error {
			for n := 0; ; n++ {
				if err := each(one(n)); err != nil {
					return err
				}
			}
		}}
		if res, err := Poll(t.Context(), cfg, nil); err != nil || !res.More || saves > 1 {
			t.Errorf("%s: %+v, %v, saved %d times", name, res, err, saves)
		}
	}
}

func TestASlowSourceIsEndedAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := 0
		cfg := w.config()
		cfg.Source = source{w, func(each func(*Item, []byte) error) error {
			for ; ; n++ {
				time.Sleep(29 * time.Second)
				if err := each(nil, fmt.Append(nil, n)); err != nil {
					return err
				}
			}
		}}
		began := time.Now()
		if res, err := Poll(t.Context(), cfg, nil); err != nil || !res.More || time.Since(began) > maxTime+time.Minute || string(w.cursor) != fmt.Sprint(n-1) {
			t.Errorf("%+v, %v after %v, cursor %s of %d", res, err, time.Since(began), w.cursor, n)
		}
	})
}

func TestNothingIsTakenAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the node ends")
	a := w.thing("a", "1")
	cfg := w.config()
	cfg.Source = source{w, func(each func(*Item, []byte) error) error {
		err := each(nil, []byte("x"))
		cancel(why)
		return errors.Join(err, each(&a, []byte("y")))
	}}
	if res, err := Poll(ctx, cfg, nil); !errors.Is(err, why) || res != (Result{}) || string(w.cursor) != "x" {
		t.Errorf("%+v, %v, cursor %s", res, err, w.cursor)
	}
}

func TestWhatASourceSaysOfAFileIsKept(t *testing.T) {
	w := newWorld(t)
	a := w.thing("a", "1")
	for said, want := range map[string]string{
		"audio/ogg": "audio/ogg", " text/plain; charset=utf-8": "text/plain; charset=utf-8",
		"": "", "audio": "", "x\x1b/y": "", "application/octet-stream": "", "Application/Octet-Stream; x": "", strings.Repeat("a/", 500): "",
	} {
		a.Version, a.Files[0].MediaType, a.Files[0].Handle = "of "+said, said, "of a"+said
		w.bytes[a.Files[0].Handle] = "bytes"
		w.poll(a)
		if got := w.drafts[len(w.drafts)-1].Entries[0].MediaType; got != want {
			t.Errorf("%q gives %q", said, got)
		}
	}
	a.Version, a.Files[0].MediaType = "edited", "audio/flac"
	w.poll(a)
	if e := w.drafts[len(w.drafts)-1].Entries[0].Entry; e == nil || e.MediaType != "audio/flac" {
		t.Errorf("an edit of that alone: %+v", e)
	}
}

func TestAnIdIsQuotedAndCut(t *testing.T) {
	w := newWorld(t)
	w.poll(Item{ID: "\x1b[2J" + strings.Repeat("x", 3_000_000)})
	if p := w.problems[0]; len(p) > 300 || !strings.HasPrefix(p, `"\x1b[2Jxx`) {
		t.Errorf("got %.400s", p)
	}
}
