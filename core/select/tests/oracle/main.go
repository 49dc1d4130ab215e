// Command oracle asks Go's gjson, in two versions, what paths select from documents.
//
//	go run . answer < questions.jsonl > ../fixtures/gjson-asked.jsonl
//	go run . generate 200 7 > ../fixtures/gjson-random.jsonl
//
// A question is {"document": TEXT, "paths": [TEXT]}; an answer says what version 1.14.4 gives, and under "later" what
// 1.18.0 gives where that differs. What is no UTF-8 is base64, in "bytes" or "document_bytes". Questions at which gjson
// itself panics are left out.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"
	later "gjson.test/later"
)

type question struct {
	Document string   `json:"document"`
	Paths    []string `json:"paths"`
}

type answer struct {
	Path   string  `json:"path,omitempty"`
	Exists bool    `json:"exists"`
	Value  *string `json:"value,omitempty"`
	Bytes  []byte  `json:"bytes,omitempty"`
	Later  *answer `json:"later,omitempty"`
}

type answered struct {
	Document      *string  `json:"document,omitempty"`
	DocumentBytes []byte   `json:"document_bytes,omitempty"`
	Answers       []answer `json:"answers"`
}

func newAnswer(exists bool, value string) answer {
	if utf8.ValidString(value) {
		return answer{Exists: exists, Value: &value}
	}
	return answer{Exists: exists, Bytes: []byte(value)}
}

func ask(document, path string) (a answer, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	first := gjson.Get(document, path)
	second := later.Get(document, path)
	a = newAnswer(first.Exists(), first.String())
	a.Path = path
	if first.Exists() != second.Exists() || first.String() != second.String() {
		other := newAnswer(second.Exists(), second.String())
		a.Later = &other
	}
	return a, true
}

func askAll(q question) answered {
	var all answered
	if utf8.ValidString(q.Document) {
		all.Document = &q.Document
	} else {
		all.DocumentBytes = []byte(q.Document)
	}
	for _, path := range q.Paths {
		if a, ok := ask(q.Document, path); ok {
			all.Answers = append(all.Answers, a)
		}
	}
	return all
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	put := func(q question) {
		if all := askAll(q); len(all.Answers) > 0 {
			if err := encoder.Encode(all); err != nil {
				panic(err)
			}
		}
	}
	switch {
	case len(os.Args) == 2 && os.Args[1] == "answer":
		questions := json.NewDecoder(os.Stdin)
		for questions.More() {
			var q question
			if err := questions.Decode(&q); err != nil {
				panic(err)
			}
			put(q)
		}
	case len(os.Args) == 4 && os.Args[1] == "generate":
		count, _ := strconv.Atoi(os.Args[2])
		seed, _ := strconv.ParseInt(os.Args[3], 10, 64)
		g := generator{rand.New(rand.NewSource(seed))}
		for range count {
			q := question{Document: g.document()}
			for range 6 {
				q.Paths = append(q.Paths, g.path(3))
			}
			put(q)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: oracle answer < questions.jsonl | oracle generate COUNT SEED")
		os.Exit(2)
	}
}
