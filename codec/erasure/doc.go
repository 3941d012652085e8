// Package erasure makes blobs that others can be rebuilt from.
package erasure
