// Package bao makes and checks proofs that bytes are a part of a blob.
package bao
