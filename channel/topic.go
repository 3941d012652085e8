package channel

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NormalizeTopic turns what a person types into a topic: surrounding space and
// slashes go, runs of slashes become one, letters become lower case, and the
// text becomes NFC. What is then no valid topic gives an error that wraps
// ErrName. Normalizing twice changes nothing.
func NormalizeTopic(s string) (string, error) {
	if len(s) > 4*MaxTopic {
		return "", fmt.Errorf("%w: a topic of %d bytes, at most %d are allowed", ErrName, len(s), MaxTopic)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: topic %q is not valid UTF-8", ErrName, clip(s))
	}
	t := foldTopic(strings.TrimSpace(s))
	levels := strings.FieldsFunc(t, func(r rune) bool { return r == '/' })
	t = strings.Join(levels, "/")
	if err := ValidTopic(t); err != nil {
		return "", err
	}
	return t, nil
}

// ValidTopic reports why t is not a topic in normal form, nil if it is: 1 to
// MaxTopic bytes of UTF-8, 1 to MaxTopicLevels levels with one slash between
// them, lower case and NFC, without white space, hostile characters, and ASCII
// punctuation other than "-", "_", "." and "+", with at most 16 combining marks
// in a row; no level is "." or "..".
// Errors wrap ErrName.
func ValidTopic(t string) error {
	if t == "" {
		return fmt.Errorf("%w: the topic is empty", ErrName)
	}
	if len(t) > MaxTopic {
		return fmt.Errorf("%w: a topic of %d bytes, at most %d are allowed", ErrName, len(t), MaxTopic)
	}
	if !utf8.ValidString(t) {
		return fmt.Errorf("%w: topic %q is not valid UTF-8", ErrName, clip(t))
	}
	for _, r := range t {
		if !topicRune(r) {
			return fmt.Errorf("%w: topic %q has the character %q", ErrName, clip(t), r)
		}
	}
	levels := 0
	for level := range strings.SplitSeq(t, "/") {
		if level == "" || level == "." || level == ".." {
			return fmt.Errorf("%w: topic %q has the level %q", ErrName, clip(t), level)
		}
		levels++
	}
	if levels > MaxTopicLevels {
		return fmt.Errorf("%w: topic %q has %d levels, at most %d are allowed", ErrName, clip(t), levels, MaxTopicLevels)
	}
	if overstacked(t) {
		return fmt.Errorf("%w: topic %q stacks more than %d marks", ErrName, clip(t), maxStack)
	}
	if foldTopic(t) != t {
		return fmt.Errorf("%w: topic %q is not lower case in Unicode's form NFC", ErrName, clip(t))
	}
	return nil
}

// TopicKey returns SHA-256("aml-topic-v1" || topic): the name of a topic in
// gossip and in the DHT. The topic must be in normal form.
func TopicKey(topic string) Hash {
	return sha256.Sum256(append([]byte("aml-topic-v1"), topic...))
}

// foldTopic lower-cases character by character, with NFC before and after, so
// that it does not matter in which form an accent was typed.
func foldTopic(s string) string {
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
}

func topicRune(r rune) bool {
	switch {
	case r < 0x80:
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' ||
			r == '-' || r == '_' || r == '.' || r == '+' || r == '/'
	case hostileRune(r):
		return false
	case r == 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200b, r == 0x202f, r == 0x205f, r == 0x2060, r == 0x3000:
		return false // white space, and what looks like none at all
	}
	return true
}
