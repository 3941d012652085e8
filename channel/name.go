package channel

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// reserved is what no name of a channel begins with, in any ASCII case.
const reserved = ".aml-"

// PartialFolder is what a node that writes a channel's files calls the folder,
// below the one that it writes to, of those that are not complete. It is no
// part of what is published from there, and no name of a channel leads into it.
const PartialFolder = reserved + "partial"

// ValidName reports why name may not name a file in a channel, nil if it may.
// A name is a relative slash path: 1 to MaxName bytes of UTF-8 in NFC, whose
// components have 1 to MaxComponent bytes, are neither "." nor "..", and hold
// no backslash, no hostile character and no more than 16 stacking ones in a row
// (CHANNELS.md lists both kinds). It may not begin with ".aml-", in any ASCII
// case: what nodes put beside the files of a channel is called so.
//
// A name is not a path of any one system. Device names (CON, NUL), trailing
// dots and characters such as ":" are fine here, as they are on most systems;
// who writes files asks its own system (filepath.Localize, os.Root) and
// refuses, and a publisher may warn by PortableName. Errors wrap ErrName.
func ValidName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: the name is empty", ErrName)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: the name has %d bytes, at most %d are allowed", ErrName, len(name), MaxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrName, clip(name))
	}
	for i, r := range name {
		if hostileRune(r) {
			return fmt.Errorf("%w: %q has the character %U at byte %d", ErrName, clip(name), r, i)
		}
		if r == '\\' {
			return fmt.Errorf("%w: %q has a backslash; a name's separator is the slash", ErrName, clip(name))
		}
	}
	if strings.HasPrefix(name, "/") {
		return fmt.Errorf("%w: %q is absolute", ErrName, clip(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return fmt.Errorf("%w: %q has an empty component", ErrName, clip(name))
		case part == "." || part == "..":
			return fmt.Errorf("%w: %q has the component %q", ErrName, clip(name), part)
		case len(part) > MaxComponent:
			return fmt.Errorf("%w: a component of %q has %d bytes, at most %d are allowed", ErrName, clip(name), len(part), MaxComponent)
		}
	}
	if len(name) >= len(reserved) && strings.EqualFold(name[:len(reserved)], reserved) {
		return fmt.Errorf("%w: %q begins with %s, which is reserved", ErrName, clip(name), reserved)
	}
	if overstacked(name) {
		return fmt.Errorf("%w: %q stacks more than %d marks", ErrName, clip(name), maxStack)
	}
	if !norm.NFC.IsNormalString(name) {
		return fmt.Errorf("%w: %q is not in Unicode's form NFC", ErrName, clip(name))
	}
	return nil
}

// NormalizeName brings a slash path of a file system into NFC. What comes out
// still has to pass ValidName.
func NormalizeName(name string) string { return norm.NFC.String(name) }

// PortableName reports why some file system in wide use cannot hold the valid
// name, nil if all can: device names of Windows, its forbidden characters,
// trailing dots and spaces. Nothing in the format depends on it.
func PortableName(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if i := strings.IndexAny(part, `<>:"|?*`); i >= 0 {
			return fmt.Errorf("%w: Windows cannot hold %q: character %q", ErrName, clip(name), part[i])
		}
		if strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return fmt.Errorf("%w: Windows cannot hold %q: a component ends in a dot or space", ErrName, clip(name))
		}
		stem, _, _ := strings.Cut(part, ".")
		if deviceName(strings.ToUpper(strings.TrimRight(stem, " "))) {
			return fmt.Errorf("%w: Windows cannot hold %q: %q is a device", ErrName, clip(name), part)
		}
	}
	return nil
}

func deviceName(s string) bool {
	switch s {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(s, port); ok {
			switch n {
			case "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}

// under reports whether name lies at or below the path prefix.
func under(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// checkNames checks that sorted names ascend strictly, and that none of them is
// a folder of another: one release cannot put a file where it needs a folder.
func checkNames(what string, sorted []string) error {
	for i, name := range sorted {
		if i > 0 && sorted[i-1] == name {
			return fmt.Errorf("%w: %s has %q twice", ErrName, what, clip(name))
		}
		if i > 0 && sorted[i-1] > name {
			return fmt.Errorf("%w: %s is not sorted by name: %q stands after %q", ErrMalformed, what, clip(name), clip(sorted[i-1]))
		}
	}
	for _, name := range sorted {
		i, _ := slices.BinarySearch(sorted, name+"/")
		if i < len(sorted) && strings.HasPrefix(sorted[i], name+"/") {
			return fmt.Errorf("%w: %s has %q both as a file and as the folder of %q", ErrName, what, clip(name), clip(sorted[i]))
		}
	}
	return nil
}
