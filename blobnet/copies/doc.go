// Package copies says who has copies of blobs: what peers say that they have, what
// of it they really gave when they were asked, and how many of them and of their
// networks have the blob that fewest have.
//
// What a peer says costs it nothing, so it is told apart from what was proved; a
// peer that says it has a blob and does not give it has lied, and nothing that it
// says counts. Even a proof shows only that the peer could give the bytes when it
// was asked: one that gets them from another meanwhile looks the same, and one
// person may be many peers. So networks are counted apart from peers.
//
// The package knows no protocol and no channel. It must never keep a blob, store
// anything, or ask a peer that was not handed in.
package copies
