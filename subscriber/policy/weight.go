package policy

import (
	"regexp"
	"regexp/syntax"
)

// How large expressions may be, in characters and sets of them, once everything
// that is repeated a number of times is written out: a few bytes of text can
// stand for millions. Each costs some hundred bytes of memory for as long as the
// policy holds, and time with each name it is held against.
const (
	maxWeight    = 2000  // of one expression
	maxWeightAll = 10000 // of those of a policy
)

// compile is regexp.Compile for a text that may be a stranger's.
func (r *Rules) compile(field, text string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, wrong(field, "%q: %w", clip(text), err)
	}
	w := weight(tree)
	r.weight += w
	switch {
	case w > maxWeight:
		return nil, wrong(field, "%q is too large once its repetitions are written out: over %d characters", clip(text), maxWeight)
	case r.weight > maxWeightAll:
		return nil, wrong(field, "all expressions together are too large once their repetitions are written out: at most %d characters are allowed", maxWeightAll)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, wrong(field, "%q: %w", clip(text), err)
	}
	return re, nil
}

// Weight is how large the policy's expressions and globs are, for whoever takes
// in many policies: at most 10,000 and a character for each byte of globs.
func (r *Rules) Weight() int {
	w := r.weight
	for _, globs := range [][]pattern{r.types, r.paths, r.notPaths, r.keep} {
		for _, g := range globs {
			w += len(g.text)
		}
	}
	return w
}

// weight is at most maxWeight+1: beyond that it is not added up. The parser has
// bounded how deep the tree is.
func weight(re *syntax.Regexp) int {
	w := 1
	switch re.Op {
	case syntax.OpLiteral:
		w = len(re.Rune)
	case syntax.OpConcat, syntax.OpRepeat:
		w = 0
	}
	for _, sub := range re.Sub {
		w = min(w+weight(sub), maxWeight+1)
	}
	if re.Op == syntax.OpRepeat {
		w = min(w*max(re.Max, re.Min+1), maxWeight+1)
	}
	return min(w, maxWeight+1)
}
