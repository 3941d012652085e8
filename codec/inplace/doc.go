// Package inplace serves blobs out of the files that they were made of.
package inplace
