package publisher

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// source is one file that is to become an entry.
type source struct {
	name  string   // in the channel
	path  string   // on disk, for people
	dir   *os.Root // the folder it was found in; nil if path was given by the user
	local string   // below dir
	info  fs.FileInfo
	attrs map[string]string
	media string // its type, as the user says; may be empty

	same int // index of the source whose content this one shares, -1 for none
}

// plan is what is to be ingested, sorted by name.
type plan struct {
	sources []source
	roots   []*os.Root // to be closed
	total   uint64     // bytes
	most    int        // sources; 0 for no bound
	inPlace bool       // the chunks stay in the files
	into    string     // what names go below; may be empty
}

func (p *plan) close() {
	for _, r := range p.roots {
		r.Close() // only read from
	}
}

// add looks at what lies at path and notes its files, without reading any.
// name is the name of a file, or the prefix of a folder's files; if empty, a
// file has its own and a folder's have none. It reports whether path is a
// folder.
//
// Below a folder only regular files are taken. A symbolic link to a regular
// file of the same folder tree becomes an entry that shares that file's blobs;
// every other link, and everything that is neither file nor folder, is an
// error that names it: what is left out silently is missed too late. A link
// that the user names as path is followed. Folders called
// channel.PartialFolder are left out.
func (p *plan) add(ctx context.Context, path, name string, attrs map[string]string) (folder bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err // names the path
	}
	if !info.IsDir() && name == "" {
		name = channel.NormalizeName(filepath.Base(filepath.Clean(path)))
	}
	if p.into != "" {
		name = strings.TrimSuffix(p.into+"/"+name, "/")
	}
	if !info.IsDir() {
		return false, p.note(source{name: name, path: path, info: info, attrs: attrs, same: -1})
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return true, err
	}
	p.roots = append(p.roots, root)
	before := len(p.sources)
	w := walk{plan: p, root: root, path: path, prefix: name, attrs: attrs}
	if err := fs.WalkDir(root.FS(), ".", func(local string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		return w.visit(local, d)
	}); err != nil {
		return true, fmt.Errorf("looking through %s: %w", path, err)
	}
	if err := w.resolve(); err != nil {
		return true, err
	}
	if len(p.sources) == before {
		return true, fmt.Errorf("%s: %w", path, ErrEmpty)
	}
	return true, nil
}

// note checks one file's name and kind, and that it is not one too many.
func (p *plan) note(s source) error {
	if p.most > 0 && len(p.sources) >= p.most {
		return fmt.Errorf("%w: more than the %d files that are allowed in one release; %s", channel.ErrLimit, p.most, severally)
	}
	if !s.info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: %s", s.path, ErrNotRegular, kindOf(s.info.Mode()))
	}
	if err := channel.ValidName(s.name); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	p.sources = append(p.sources, s)
	if s.same < 0 {
		p.total += uint64(s.info.Size())
	}
	return nil
}

// settle orders the sources by name, refuses two of one name, such as two
// spellings of one accent, and returns each one's entry as it will be but for
// what only reading tells. All that is wrong with an entry but that is found
// here, before anything is read.
func (p *plan) settle() ([]channel.FileEntry, error) {
	order := make([]int, len(p.sources))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(p.sources[a].name, p.sources[b].name) })
	sorted := make([]source, len(order))
	place := make([]int, len(order))
	for to, from := range order {
		sorted[to], place[from] = p.sources[from], to
	}
	entries := make([]channel.FileEntry, len(sorted))
	for i, s := range sorted {
		if s.same >= 0 {
			sorted[i].same = place[s.same]
		}
		if i > 0 && sorted[i-1].name == s.name {
			return nil, fmt.Errorf("%w: %s and %s both give %q; names in a channel are unique", channel.ErrName, sorted[i-1].path, s.path, s.name)
		}
		entries[i] = s.foreseen()
		if err := entries[i].Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
	}
	p.sources = sorted
	return entries, nil
}

// entry is all of a source's entry that is known without reading it.
func (s source) entry() channel.FileEntry {
	e := channel.FileEntry{
		Name: s.name, Size: uint64(s.info.Size()), MediaType: cmp.Or(s.media, typeByName(s.name)), Mode: uint32(s.info.Mode().Perm()),
		Modified: channel.TimeOf(s.info.ModTime()), Attrs: maps.Clone(s.attrs),
	}
	if e.Modified < 0 {
		e.Modified = 0 // before 1970: the format has no such time
	}
	return e
}

// foreseen is entry with something in the place of what is not known yet, as
// long when encoded as what will be there, or longer.
func (s source) foreseen() channel.FileEntry {
	e := s.entry()
	if e.MediaType == "" {
		e.MediaType = longestMedia
	}
	e.Root = codec.Ref{ID: blobnet.ID{1}, Size: e.Size}
	for e.Depth < codec.MaxDepth && e.File().Validate() != nil {
		e.Depth++
	}
	return e
}

// walk goes through one folder.
type walk struct {
	*plan
	root   *os.Root
	path   string // of the root, for people
	prefix string
	attrs  map[string]string
	links  []string
}

func (w *walk) visit(local string, d fs.DirEntry) error {
	if d.IsDir() {
		if d.Name() == channel.PartialFolder {
			return fs.SkipDir
		}
		return nil
	}
	if d.Type()&fs.ModeSymlink != 0 {
		w.links = append(w.links, local)
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	return w.note(w.source(local, info, -1))
}

func (w *walk) source(local string, info fs.FileInfo, same int) source {
	name := channel.NormalizeName(local)
	if w.prefix != "" {
		name = w.prefix + "/" + name
	}
	return source{
		name: name, path: filepath.Join(w.path, filepath.FromSlash(local)),
		dir: w.root, local: filepath.FromSlash(local), info: info, attrs: w.attrs, same: same,
	}
}

// resolve turns links into entries of the files that they lead to.
func (w *walk) resolve() error {
	for _, local := range w.links {
		path := filepath.Join(w.path, filepath.FromSlash(local))
		to, _ := w.root.Readlink(filepath.FromSlash(local)) // for people
		info, err := w.root.Stat(filepath.FromSlash(local))
		if err != nil {
			return fmt.Errorf("%s: %w to %q, which leads out of %s or nowhere; remove it, or put the file in its place", path, ErrLink, to, w.path)
		}
		if info.IsDir() {
			return fmt.Errorf("%s: %w to the folder %q; remove it, or put the folder in its place", path, ErrLink, to)
		}
		same := slices.IndexFunc(w.sources, func(s source) bool { return s.dir == w.root && s.same < 0 && os.SameFile(s.info, info) })
		if same < 0 {
			return fmt.Errorf("%s: %w to %q, which is no file that is published with it", path, ErrLink, to)
		}
		if err := w.note(w.source(local, w.sources[same].info, same)); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return mode.Type().String()
}
