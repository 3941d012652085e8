package dcbor

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// The major types of RFC 8949 section 3.1 that the dialect knows.
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
)

const (
	simpleFalse = 20
	simpleTrue  = 21
)

// check reports whether data is exactly one item of the dialect. It allocates
// nothing but its error, and runs before any decoder sees data.
func check(data []byte) error {
	end, err := item(data, 0, 0)
	if err != nil {
		return err
	}
	if end != len(data) {
		return fmt.Errorf("%w: %d bytes follow the item", ErrMalformed, len(data)-end)
	}
	return nil
}

// item walks the item at data[at:], which lies inside depth containers, and
// returns the offset behind it.
func item(data []byte, at, depth int) (int, error) {
	major, arg, next, err := head(data, at)
	if err != nil {
		return 0, err
	}
	left := uint64(len(data) - next)
	switch major {
	case majorUint, majorNint:
		return next, nil
	case majorBytes, majorText:
		if arg > left {
			return 0, fmt.Errorf("%w: string of %d bytes at byte %d, %d are left", ErrMalformed, arg, at, left)
		}
		end := next + int(arg)
		if major == majorText && !utf8.Valid(data[next:end]) {
			return 0, fmt.Errorf("%w: text at byte %d is not UTF-8", ErrMalformed, at)
		}
		return end, nil
	case majorArray, majorMap:
		if depth == MaxDepth {
			return 0, fmt.Errorf("%w: deeper than %d at byte %d", ErrMalformed, MaxDepth, at)
		}
		if arg > MaxElements {
			return 0, fmt.Errorf("%w: %d elements at byte %d, limit %d", ErrMalformed, arg, at, MaxElements)
		}
		if major == majorArray {
			return array(data, next, int(arg), depth+1)
		}
		return pairs(data, next, int(arg), depth+1)
	case majorTag:
		return 0, fmt.Errorf("%w: tag %d at byte %d", ErrMalformed, arg, at)
	}
	return next, nil // head let only true and false pass
}

func array(data []byte, at, n, depth int) (int, error) {
	var err error
	for range n {
		if at, err = item(data, at, depth); err != nil {
			return 0, err
		}
	}
	return at, nil
}

func pairs(data []byte, at, n, depth int) (int, error) {
	var last []byte
	for range n {
		end, err := item(data, at, depth)
		if err != nil {
			return 0, err
		}
		key := data[at:end]
		if last != nil && bytes.Compare(last, key) >= 0 {
			return 0, fmt.Errorf("%w: key at byte %d is not above the one before it", ErrNotCanonical, at)
		}
		last = key
		if at, err = item(data, end, depth); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// head reads the initial byte and the argument at data[at:], and insists on
// the shortest form.
func head(data []byte, at int) (major byte, arg uint64, next int, err error) {
	if at >= len(data) {
		return 0, 0, 0, fmt.Errorf("%w: ends at byte %d inside an item", ErrMalformed, len(data))
	}
	major, info := data[at]>>5, data[at]&31
	next = at + 1
	if major == 7 {
		if info != simpleFalse && info != simpleTrue {
			return 0, 0, 0, fmt.Errorf("%w: 0x%02x at byte %d: neither true nor false", ErrMalformed, data[at], at)
		}
		return major, uint64(info), next, nil
	}
	switch {
	case info < 24:
		return major, uint64(info), next, nil
	case info == 31 && major >= majorBytes && major <= majorMap:
		return 0, 0, 0, fmt.Errorf("%w: indefinite length at byte %d", ErrNotCanonical, at)
	case info > 27:
		return 0, 0, 0, fmt.Errorf("%w: reserved initial byte 0x%02x at byte %d", ErrMalformed, data[at], at)
	}
	size := 1 << (info - 24) // 1, 2, 4 or 8 bytes
	if len(data)-next < size {
		return 0, 0, 0, fmt.Errorf("%w: ends at byte %d inside an item", ErrMalformed, len(data))
	}
	for _, b := range data[next : next+size] {
		arg = arg<<8 | uint64(b)
	}
	next += size
	least := uint64(24) // smallest argument that wants size bytes
	if size > 1 {
		least = 1 << (4 * size)
	}
	if arg < least {
		return 0, 0, 0, fmt.Errorf("%w: %d takes %d bytes at byte %d", ErrNotCanonical, arg, size, at)
	}
	return major, arg, next, nil
}
