package channel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/codec"
)

// EncodeBody returns the one encoding of b, after Validate: what a body blob
// seals, and what stands in field 9 of a manifest.
func EncodeBody(b Body) ([]byte, error) {
	if err := b.Validate(); err != nil {
		return nil, fmt.Errorf("encoding body: %w", err)
	}
	return encodePayload("body", b, MaxBody)
}

// OpenBody opens and reads the body in a blob that lies elsewhere than in its manifest.
func OpenBody(blob []byte, ref codec.Ref) (Body, error) {
	plain, err := codec.Open(nil, blob, ref)
	if err != nil {
		return Body{}, err
	}
	return DecodeBody(plain)
}

// DecodeBody reads what EncodeBody writes and nothing else. Whether the log's
// key may name what is in it is for Root.Authorize.
func DecodeBody(data []byte) (Body, error) {
	if len(data) > MaxBody {
		return Body{}, fmt.Errorf("decoding body: %w: %d bytes, at most %d are allowed", ErrTooLarge, len(data), MaxBody)
	}
	var b Body
	if err := decode("body", data, &b); err != nil {
		return Body{}, err
	}
	if err := b.Validate(); err != nil {
		return Body{}, fmt.Errorf("decoding body: %w", err)
	}
	return b, nil
}

// Sort brings entries and removals into the order that Validate asks for. It
// changes the slices in place.
func (b *Body) Sort() {
	slices.SortFunc(b.Entries, func(x, y FileEntry) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(b.Removals, func(x, y Removal) int { return strings.Compare(x.Name, y.Name) })
}

// Validate checks every limit and rule of a body. Two entries of one name, an
// entry that is the folder of another, and a name that is both put and removed
// give ErrName.
func (b Body) Validate() error {
	if b.Title == "" && b.Description == "" && len(b.Metadata) == 0 && len(b.Entries) == 0 && len(b.Removals) == 0 {
		return fmt.Errorf("%w: the body is empty", ErrMalformed)
	}
	if err := checkLine("title", b.Title, MaxTitle); err != nil {
		return err
	}
	if err := checkProse("description", b.Description, MaxDescription); err != nil {
		return err
	}
	if err := checkPairs("metadata", b.Metadata); err != nil {
		return err
	}
	if len(b.Entries) > MaxEntries {
		return fmt.Errorf("%w: %d entries, at most %d are allowed in one release", ErrLimit, len(b.Entries), MaxEntries)
	}
	if len(b.Removals) > MaxRemovals {
		return fmt.Errorf("%w: %d removals, at most %d are allowed in one release", ErrLimit, len(b.Removals), MaxRemovals)
	}
	return b.checkNames()
}

func (b Body) checkNames() error {
	entries := make([]string, len(b.Entries))
	for i, e := range b.Entries {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("entry %q: %w", clip(e.Name), err)
		}
		entries[i] = e.Name
	}
	if err := checkNames("entries", entries); err != nil {
		return err
	}
	for i, r := range b.Removals {
		if err := r.check(); err != nil {
			return err
		}
		if i > 0 && b.Removals[i-1].Name == r.Name {
			return fmt.Errorf("%w: %q is removed twice", ErrName, clip(r.Name))
		}
		if i > 0 && b.Removals[i-1].Name > r.Name {
			return fmt.Errorf("%w: removals are not sorted by name at %q", ErrMalformed, clip(r.Name))
		}
		if _, ok := slices.BinarySearch(entries, r.Name); ok {
			return fmt.Errorf("%w: %q is both put and removed", ErrName, clip(r.Name))
		}
	}
	return nil
}

func (r Removal) check() error {
	if err := ValidName(r.Name); err != nil {
		return fmt.Errorf("removal: %w", err)
	}
	return checkLine("reason", r.Reason, MaxReason)
}

// Validate checks every limit and rule of a file entry.
func (e FileEntry) Validate() error {
	if err := ValidName(e.Name); err != nil {
		return err
	}
	if e.MediaType != "" {
		if err := ValidMediaType(e.MediaType); err != nil {
			return err
		}
	}
	if e.Mode > 0o777 {
		return fmt.Errorf("%w: mode %#o has more than permission bits", ErrMalformed, e.Mode)
	}
	if e.Modified != 0 {
		if err := e.Modified.check("modification time"); err != nil {
			return err
		}
	}
	if err := checkFile(e.File()); err != nil {
		return err
	}
	return checkPairs("attrs", e.Attrs)
}

// checkFile checks that a file's size, depth and root reference agree.
func checkFile(f codec.File) error {
	if err := f.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if f.Root.ID.IsZero() {
		return fmt.Errorf("%w: root reference without a blob", ErrMalformed)
	}
	return nil
}
