package main

import (
	"math/rand"
	"strconv"
	"strings"
)

// generator makes documents and paths that meet each other often, and breaks some of both.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.Intn(len(words))] }

func (g generator) key() string {
	return g.pick("a", "b", "c", "ab", "abc", "a.b", "é", "pw*", "x@y", "0", "1", "first", "last", "", `q\"t`, `u\u00e9`, `\\`, "@this", "#", "a|b", "n\\n")
}

func (g generator) scalar() string {
	return g.pick("1", "2.50", "1e3", "-0.5", "0", "-0", "12345678901234567890", "1E400", "0.1e-6", "true", "false", "null",
		`"a"`, `"abc"`, `""`, `"x\u00e9\ny"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\udc00\u0041"`, `"<&>"`, `"{\"k\":[1,2]}"`, `"[1,2]"`, `"1"`, `"true"`, `"f"`,
		`"T"`, `"é"`, `"a*b"`, `"\b\f\t\/"`, `"\u2028"`, "9007199254740993", "1.7976931348623157e308", `"0x1p4"`, "1e21", "123456789.125")
}

func (g generator) odd() string {
	return g.pick("nan", "NaN", "Inf", "-inf", "+5", "0x1p4", "1_0", "tru", "nul", "n", "12a", "-", `"open`, "'q'", "\xff\xfe", "\"\xc3\"", "\"\\ud83d\xe9\"", `"\x"`, `"\u12"`, "\"\x01\"", "(1)", "1.2.3")
}

func (g generator) space() string {
	if g.Intn(6) == 0 {
		return g.pick(" ", "\n", "\t", "  ", "\r\n", "\u00a0")
	}
	return ""
}

func (g generator) value(depth int) string {
	switch n := g.Intn(10); {
	case depth == 0 || n < 3:
		if g.Intn(12) == 0 {
			return g.odd()
		}
		return g.scalar()
	case n < 7:
		members := make([]string, g.Intn(5))
		for i := range members {
			members[i] = g.space() + `"` + g.key() + `"` + g.space() + ":" + g.space() + g.value(depth-1)
		}
		return "{" + strings.Join(members, ",") + g.space() + "}"
	default:
		elements := make([]string, g.Intn(6))
		for i := range elements {
			elements[i] = g.space() + g.value(depth-1)
		}
		return "[" + strings.Join(elements, ",") + g.space() + "]"
	}
}

func (g generator) document() string {
	text := g.value(4)
	for g.Intn(8) == 0 {
		text += g.pick("\n", " ", ",") + g.value(2)
	}
	return g.broken(text, 5)
}

// broken changes a text in one place, once in so many times.
func (g generator) broken(text string, rarely int) string {
	if g.Intn(rarely) != 0 || len(text) == 0 {
		return text
	}
	at := g.Intn(len(text))
	switch g.Intn(4) {
	case 0:
		return text[:at]
	case 1:
		return text[:at] + text[at+1:]
	case 2:
		return text[:at] + g.pick("{", "}", "[", "]", "(", ")", `"`, `\`, ",", ":", " ", "#", "|", ".", "@", "!", "~", "*", "?", "n", "1") + text[at:]
	default:
		other := g.Intn(len(text))
		return text[:at] + text[min(at, other):max(at, other)] + text[at:]
	}
}

func (g generator) component(depth int) string {
	switch n := g.Intn(22); {
	case n < 6:
		return g.pick("a", "b", "c", "ab", "abc", "first", "last", "é", `a\.b`, `pw\*`, `x\@y`, `a\|b`, `\#`, `\@this`, `q"t`, `\\`)
	case n < 9:
		return strconv.Itoa(g.Intn(4))
	case n < 11:
		return "#"
	case n < 14:
		return g.pick("*", "a*", "?", "*b", "a?", "*a*", "?*", `\*`, `a\**`, "*.b", "[!a]", "*é")
	case n < 18:
		return g.query(depth)
	case n < 20:
		return "@" + g.modifier(depth)
	case n < 21 && depth > 0:
		return g.multipath(depth - 1)
	default:
		return g.pick("", "##", "a#", "01", "99999999999999999999", "18446744073709551616", "-1", "@case:upper", "@nope", "..", "~true")
	}
}

func (g generator) modifier(depth int) string {
	name := g.pick("this", "reverse", "ugly", "pretty", "flatten", "join", "valid", "keys", "values", "tostr", "fromstr", "group", "dig")
	switch g.Intn(3) {
	case 0:
		return name + ":" + g.pick(`{"deep":true}`, `{"preserve":true}`, `{"sortKeys":true}`, `{"sortKeys":true,"indent":"\t","prefix":" "}`, `{"width":20}`,
			`{"width":0}`, `{"width":-1}`, `{"width":"5","indent":""}`, "a", "a.b", "#.a", `[1,2]`, `"x"`, "", "true", `{"deep":"1"}`, `{"width":1e300}`, "[a|b]")
	default:
		return name
	}
}

func (g generator) query(depth int) string {
	left := g.pick("", "a", "b", "a.b", "#", "first", "*", "0")
	if depth > 0 && g.Intn(4) == 0 {
		left = g.path(depth - 1)
	}
	condition := ""
	if g.Intn(6) != 0 {
		condition = g.space() + g.pick("=", "==", "!=", "<", "<=", ">", ">=", "%", "!%", "!", "===", "=<") + g.space() +
			g.pick("1", "2.5", "1000", `"a"`, `"a*"`, "a", "true", "false", "null", "~true", "~false", "~null", "~*", "~x", `"é"`, `"\"q"`, `"*\**"`, "", "0x1p0", `"?"`, "abc", `"[)"`)
	}
	open, end := "(", ")"
	if g.Intn(10) == 0 {
		open, end = "[", "]"
	}
	return "#" + open + left + condition + end + g.pick("", "#", "#", "", "#x")
}

func (g generator) multipath(depth int) string {
	open, end := "[", "]"
	object := g.Intn(2) == 0
	if object {
		open, end = "{", "}"
	}
	parts := make([]string, g.Intn(4))
	for i := range parts {
		name := ""
		if object && g.Intn(2) == 0 {
			name = g.pick(`"x":`, `y:`, `"a\nb":`, `"é<":`, `:`, `"bad:`, `a.b:`)
		}
		parts[i] = name + g.path(depth)
	}
	return open + strings.Join(parts, ",") + end
}

func (g generator) path(depth int) string {
	var text strings.Builder
	if g.Intn(30) == 0 {
		text.WriteString("..")
	}
	switch g.Intn(25) {
	case 0:
		text.WriteString("!" + g.pick("true", "null", "1", `"x"`, `{"a":[1]}`, "NaN", "bad", "\u0130nf", "[1,2]", "-5e1", `"a|b"`) + g.pick("", "|", "."))
	case 1:
		return g.multipath(depth) + g.pick("", "|0", ".a", "x", ".#", "|@keys", "@this")
	}
	for i := range 1 + g.Intn(4) {
		if i > 0 {
			text.WriteString(g.pick(".", ".", ".", "|"))
		}
		text.WriteString(g.component(depth))
	}
	return g.broken(text.String(), 10)
}
