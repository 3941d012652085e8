// Package httpmirror moves blobs by plain HTTP: a Server gives the blobs of a
// store to any HTTP client and IPFS tool, a Peer is any static server, CDN or
// bucket as a blobnet.Source, and Push fills a folder or a server that takes
// PUT. docs/mirrors.md is the normative text.
//
// The package must never serve anything but blobs, look inside one, trust a byte
// before its SHA-256 was checked against the id, read a body whose limit was not
// set before, wait for a server without a deadline, follow a redirect from https
// to http, or tell the user and query of a URL, which may be secrets, to anybody
// but the server.
package httpmirror
