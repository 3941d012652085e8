// Package diskstore keeps blobs as files, one each, below one folder.
//
// It is for nodes. It must never look into a blob, touch the network, keep a
// blob in memory after a call, or delete anything in its folder that it did
// not make.
//
// # Who knows what
//
// The files are the truth about which blobs there are: Get and Has look at
// them alone, and Put is done when its file has its final name. The index
// (index.db, SQLite) answers what the file system cannot: which blob was used
// longest ago, which are pinned, and how much there is. It may lag behind, by
// rows that wait in memory to be written together; whatever asks it writes
// those first. A start after a crash compares it with the files.
//
// # Who waits for whom
//
// Three things can be owned, always taken in this order, and none of them is a
// mutex, because disk work is done while owning them and waiting for them ends
// with the caller's context: the turn to sync, the claim on an id (whoever makes
// or removes that blob's file), and the index. Whoever has the index never
// waits for a claim. Store.mu guards memory alone and is never held across I/O.
package diskstore
