package channel

import (
	"fmt"
	"slices"
	"strings"
)

// Draft is manifest.json: what a person writes to publish a release.
type Draft struct {
	Title       string
	Description string
	Metadata    map[string]string
	Entries     []DraftEntry
	Remove      []string // names, in the order given
}

// DraftEntry is either a file or folder to ingest or a file that was ingested
// before: exactly one of Path and Entry is set.
type DraftEntry struct {
	Path  string            // local, relative to what the caller says
	Name  string            // in the channel; "" leaves it to the caller
	Attrs map[string]string // for what Path brings

	MediaType string // of what Path brings; empty: by its name and content

	Entry *FileEntry
}

// maxPath bounds a local path in a draft, in bytes.
const maxPath = 4096

// ParseDraft reads manifest.json, of at most MaxJSON bytes:
//
//	{"version": 1, "title": "...", "description": "...", "metadata": {"k": "v"},
//	 "entries": [FileEntry or {"path": "local file", "name": "name in the channel", "attrs": {}}],
//	 "remove": ["name"]}
//
// Every field may be absent, but not all that say something; "version" other
// than 1 gives ErrVersion. Names are checked, names of local paths that are not
// given are left to the caller. Errors say the line, the column and the field.
func ParseDraft(data []byte) (Draft, error) {
	var d Draft
	err := readJSON("manifest", data, func(r *jsonReader) error {
		v, present, err := r.version()
		if err != nil {
			return err
		}
		if present && v != jsonVersion {
			return r.errorf(ErrVersion, `field "version" is %d, want 1`, v)
		}
		return r.object(func(key string) error { return readDraftField(r, key, &d) })
	})
	if err != nil {
		return Draft{}, err
	}
	if err := d.Validate(); err != nil {
		return Draft{}, fmt.Errorf("reading manifest: %w", err)
	}
	return d, nil
}

func readDraftField(r *jsonReader, key string, d *Draft) (err error) {
	at := r.pos
	switch key {
	case "version":
		r.skip()
	case "title":
		if d.Title, err = r.text(); err == nil {
			err = r.checked(at, checkLine("title", d.Title, MaxTitle))
		}
	case "description":
		if d.Description, err = r.text(); err == nil {
			err = r.checked(at, checkProse("description", d.Description, MaxDescription))
		}
	case "metadata":
		if d.Metadata, err = r.pairs(); err == nil {
			err = r.checked(at, checkPairs("metadata", d.Metadata))
		}
	case "entries":
		err = r.array(func(i int) error {
			if i == MaxEntries {
				return r.errorf(ErrLimit, "more than %d entries", MaxEntries)
			}
			e, err := readDraftEntry(r)
			d.Entries = append(d.Entries, e)
			return err
		})
	case "remove":
		err = r.array(func(i int) error {
			if i == MaxRemovals {
				return r.errorf(ErrLimit, "more than %d removals", MaxRemovals)
			}
			at := r.pos
			name, err := r.text()
			if err == nil {
				err = r.checked(at, ValidName(name))
			}
			d.Remove = append(d.Remove, name)
			return err
		})
	default:
		err = r.unknown(key)
	}
	return err
}

// checked is wrap at another position, and nil for nil.
func (r *jsonReader) checked(at int, err error) error {
	if err == nil {
		return nil
	}
	r.pos = at
	return r.wrap(err)
}

// readDraftEntry tells the two kinds apart by the field "path".
func readDraftEntry(r *jsonReader) (DraftEntry, error) {
	if r.peek() != '{' {
		return DraftEntry{}, r.want("an object")
	}
	at, local, ingested := r.pos, false, false
	err := r.object(func(key string) error {
		local = local || key == "path"
		ingested = ingested || key == "root" || key == "version"
		r.skip()
		return nil
	})
	if err != nil {
		return DraftEntry{}, err
	}
	r.pos = at
	switch {
	case local:
		return readLocalEntry(r)
	case ingested:
		e, err := readEntry(r)
		return DraftEntry{Entry: &e}, err
	}
	return DraftEntry{}, r.errorf(ErrMalformed, `want a file entry, or an object with the field "path"`)
}

func readLocalEntry(r *jsonReader) (DraftEntry, error) {
	var e DraftEntry
	err := r.object(func(key string) (err error) {
		at := r.pos
		switch key {
		case "path":
			if e.Path, err = r.text(); err == nil && (e.Path == "" || len(e.Path) > maxPath || strings.ContainsRune(e.Path, 0)) {
				r.pos = at
				err = r.errorf(ErrMalformed, "want a local path of 1 to %d bytes", maxPath)
			}
		case "name":
			if e.Name, err = r.text(); err == nil {
				err = r.checked(at, ValidName(e.Name))
			}
		case "attrs":
			if e.Attrs, err = r.pairs(); err == nil {
				err = r.checked(at, checkPairs("attrs", e.Attrs))
			}
		default:
			err = r.unknown(key)
		}
		return err
	})
	return e, err
}

// Validate checks what concerns the draft as a whole: that it says something,
// and that no name is given twice, put and removed, or a file and a folder.
// Names that are still to come from local paths are checked by Body.Validate.
func (d Draft) Validate() error {
	if d.Title == "" && d.Description == "" && len(d.Metadata) == 0 && len(d.Entries) == 0 && len(d.Remove) == 0 {
		return fmt.Errorf("%w: the manifest is empty", ErrMalformed)
	}
	var names []string
	for _, e := range d.Entries {
		switch {
		case e.Entry != nil:
			names = append(names, e.Entry.Name)
		case e.Name != "":
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	if err := checkNames("entries", names); err != nil {
		return err
	}
	removed := slices.Sorted(slices.Values(d.Remove))
	for i, name := range removed {
		if i > 0 && removed[i-1] == name {
			return fmt.Errorf("%w: %q is removed twice", ErrName, clip(name))
		}
		if _, ok := slices.BinarySearch(names, name); ok {
			return fmt.Errorf("%w: %q is both put and removed", ErrName, clip(name))
		}
	}
	return nil
}
