// Package wsbridge speaks the WebSocket protocol of seed document 001.
package wsbridge
