// Package api is the local HTTP API of a node, server and typed client: every
// verb is a POST of one JSON object to /v1/VERB, answered by NDJSON: a line
// {"event": ...} for whatever happens on the way, and last of all a line
// {"result": ...} or {"error": {"code", "message"}}. A request ends when its
// client goes.
//
// It is spoken over a Unix socket in the node's home that only its user may
// open, or in memory where the command runs the node itself (Open). It must
// never listen on a network address, and decide nothing: what a verb does
// stands in node.
package api
