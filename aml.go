// Package aml holds the documents that the program shows by itself. The
// program is cmd/aml; the packages to embed are blobnet, codec, channel,
// publisher, subscriber, updates and node.
//
// It must never hold code: what aml does has a room of its own.
package aml

import _ "embed"

// Readme is the project's README.md.
//
//go:embed README.md
var Readme string
