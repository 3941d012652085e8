// Package httpmirror gets blobs from and puts them to plain HTTP.
package httpmirror
