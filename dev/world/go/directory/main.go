// Directory is an LDAP server with one user in one group, for logins by name and password.
package main

import (
	"flag"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"
	"github.com/jimlambrt/gldap/testdirectory"
)

func main() {
	port := flag.Int("port", 0, "where to listen on 127.0.0.1")
	user := flag.String("user", "", "the user's name")
	password := flag.String("password", "", "the user's password")
	group := flag.String("group", "", "the group that the user is in")
	flag.Parse()

	logger := hclog.New(&hclog.LoggerOptions{Name: "directory", Level: hclog.Info})
	t, err := testdirectory.NewLogger(logger)
	if err != nil {
		panic(err)
	}
	name := "cn=" + *user + "," + testdirectory.DefaultUserDN
	entries := &testdirectory.Defaults{
		Users:  []*gldap.Entry{gldap.NewEntry(name, map[string][]string{"name": {*user}, "password": {*password}})},
		Groups: []*gldap.Entry{testdirectory.NewGroup(t, *group, []string{*user})},
	}
	testdirectory.Start(t, testdirectory.WithNoTLS(t), testdirectory.WithHost(t, "127.0.0.1"),
		testdirectory.WithPort(t, *port), testdirectory.WithLogger(t, logger), testdirectory.WithDefaults(t, entries))

	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	<-ends
}
