package channel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anonymous-media-library/aml/codec"
)

// jsonVersion is the value of "version" in the JSON of a FileEntry and of a
// Draft.
const jsonVersion = 1

// maxSize is the largest file, in bytes: what an index of full depth over the
// largest chunks holds, 2 PiB. It is below 2^53, so that every JSON reader gets
// sizes right.
const maxSize = codec.MaxChunkSize * codec.MaxRefs * codec.MaxRefs * codec.MaxRefs

// entryJSON is the JSON of a FileEntry, in the order in which it is written.
type entryJSON struct {
	Version   int               `json:"version"`
	Name      string            `json:"name"`
	Size      uint64            `json:"size"`
	MediaType string            `json:"mediaType,omitempty"`
	SHA256    codec.Hash        `json:"sha256"`
	Mode      string            `json:"mode"`
	Depth     uint8             `json:"depth"`
	Root      codec.Ref         `json:"root"`
	Modified  Time              `json:"modified,omitzero"`
	Attrs     map[string]string `json:"attrs,omitempty"`
}

// MarshalJSON writes the entry with "version": 1 and the mode in octal.
func (e FileEntry) MarshalJSON() ([]byte, error) {
	return json.Marshal(entryJSON{
		Version: jsonVersion, Name: e.Name, Size: e.Size, MediaType: e.MediaType, SHA256: e.SHA256,
		Mode: fmt.Sprintf("%04o", e.Mode), Depth: e.Depth, Root: e.Root, Modified: e.Modified, Attrs: e.Attrs,
	})
}

// UnmarshalJSON reads what MarshalJSON writes, as strictly as ParseFileEntries.
func (e *FileEntry) UnmarshalJSON(data []byte) error {
	return readJSON("file entry", data, func(r *jsonReader) (err error) {
		*e, err = readEntry(r)
		return err
	})
}

// ParseFileEntries reads file_entry.json: one FileEntry or an array of one or
// more, of at most MaxJSON bytes. Every entry is valid and no two have one
// name. Errors say the line, the column and the field, and wrap ErrVersion if
// the field "version" is missing or not 1.
func ParseFileEntries(data []byte) ([]FileEntry, error) {
	var entries []FileEntry
	err := readJSON("file entries", data, func(r *jsonReader) error {
		if r.peek() != '[' {
			e, err := readEntry(r)
			entries = []FileEntry{e}
			return err
		}
		err := r.array(func(int) error {
			e, err := readEntry(r)
			entries = append(entries, e)
			return err
		})
		if err == nil && len(entries) == 0 {
			return r.errorf(ErrMalformed, "no file entry in it")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := distinctNames(entries); err != nil {
		return nil, fmt.Errorf("reading file entries: %w", err)
	}
	return entries, nil
}

func distinctNames(entries []FileEntry) error {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	slices.Sort(names)
	return checkNames("file entries", names)
}

// readEntry reads the FileEntry that comes next, and validates it.
func readEntry(r *jsonReader) (FileEntry, error) {
	at := r.pos
	v, present, err := r.version()
	if err != nil {
		return FileEntry{}, err
	}
	if !present {
		return FileEntry{}, r.errorf(ErrVersion, `field "version" is missing, want 1`)
	}
	if v != jsonVersion {
		return FileEntry{}, r.errorf(ErrVersion, `field "version" is %d, want 1`, v)
	}
	var e FileEntry
	var have []string
	err = r.object(func(key string) error {
		have = append(have, key)
		return readEntryField(r, key, &e)
	})
	if err != nil {
		return FileEntry{}, err
	}
	for _, key := range []string{"name", "size", "sha256", "mode", "depth", "root"} {
		if !slices.Contains(have, key) {
			r.pos = at
			return FileEntry{}, r.errorf(ErrMalformed, "field %q is missing", key)
		}
	}
	if err := e.Validate(); err != nil {
		r.pos = at
		return FileEntry{}, r.wrap(err)
	}
	return e, nil
}

func readEntryField(r *jsonReader, key string, e *FileEntry) (err error) {
	switch key {
	case "version":
		r.skip()
	case "name":
		e.Name, err = r.text()
	case "size":
		e.Size, err = r.uint(maxSize)
	case "mediaType":
		e.MediaType, err = r.text()
	case "sha256":
		err = r.into(&e.SHA256)
	case "mode":
		e.Mode, err = readMode(r)
	case "depth":
		var v uint64
		v, err = r.uint(codec.MaxDepth)
		e.Depth = uint8(v)
	case "root":
		e.Root, err = readRef(r)
	case "modified":
		at := r.pos
		if err = r.into(&e.Modified); err == nil && e.Modified.IsZero() {
			r.pos = at // to leave it out says that there is none
			err = r.errorf(ErrMalformed, "want a time, found an empty string")
		}
	case "attrs":
		e.Attrs, err = r.pairs()
	default:
		err = r.unknown(key)
	}
	return err
}

// readMode reads permission bits in octal, as "0644".
func readMode(r *jsonReader) (uint32, error) {
	at := r.pos
	s, err := r.text()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(s, 8, 32)
	if err != nil || v > 0o777 || len(s) != 4 || !strings.HasPrefix(s, "0") {
		r.pos = at
		return 0, r.errorf(ErrMalformed, `want permission bits in octal, like "0644"`)
	}
	return uint32(v), nil
}

func readRef(r *jsonReader) (codec.Ref, error) {
	var ref codec.Ref
	at := r.pos
	var have []string
	err := r.object(func(key string) (err error) {
		have = append(have, key)
		switch key {
		case "id":
			err = r.into(&ref.ID)
		case "key":
			err = r.into(&ref.Key)
		case "size":
			ref.Size, err = r.uint(maxSize)
		case "tree":
			err = r.into(&ref.Tree)
		default:
			err = r.unknown(key)
		}
		return err
	})
	if err != nil {
		return ref, err
	}
	for _, key := range []string{"id", "key", "size", "tree"} {
		if !slices.Contains(have, key) {
			r.pos = at
			return ref, r.errorf(ErrMalformed, "field %q is missing", key)
		}
	}
	return ref, nil
}
