package main

import (
	"crypto/sha256"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
)

// messageID is as aml's: without authors a message goes by its hash.
func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}
