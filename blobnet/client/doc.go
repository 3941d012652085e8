// Package client is the blob layer for programs that embed it without the rest
// of aml: seal a file, serve it, fetch it from many peers, read it while it
// comes. It puts a store, the exchange, the tracker and the scheduler together
// behind a few methods.
//
// It is the one room below blobnet that knows what a blob holds, since it joins
// the blob layer to the codec. It must never make a host, choose where anything
// lies on disk, contact a peer that was neither given nor found under a file's
// key, or know what a channel is. A program that wants another arrangement
// composes the same rooms itself; nothing here is more than that.
//
// The names follow the BlobClient of seed document 001.
package client
