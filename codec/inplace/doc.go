// Package inplace serves blobs out of the files that they were made of, or
// written to: a blob that is a sealed chunk of such a file is not stored, but
// sealed again from the file and its key when it is asked for.
//
// It is for nodes: a Store stands before another store and answers for both.
// The files are the user's, who may change, move and delete them: what comes out
// of one is only given to anybody if it hashes to the blob's id, so a claim on a
// file can be wrong and never do harm. It must never write to such a file, serve
// a byte that was not checked, or show a key, which its database holds.
//
// What is on disk is described in docs/inplace.md.
package inplace
