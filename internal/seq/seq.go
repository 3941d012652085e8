// Package seq has what the standard iter package lacks for sequences that can
// fail: it is for rooms that ask a store about many blobs at a time. It must
// never know what it carries.
package seq

import "iter"

// Batches groups s into slices of at most size, in order. An error of s ends
// the result, after which nothing else comes; what was collected before it is
// dropped. A slice is valid until the next one is asked for.
func Batches[T any](s iter.Seq2[T, error], size int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var group []T
		for v, err := range s {
			if err != nil {
				yield(nil, err)
				return
			}
			if group = append(group, v); len(group) == size {
				if !yield(group, nil) {
					return
				}
				group = group[:0]
			}
		}
		if len(group) > 0 {
			yield(group, nil)
		}
	}
}
