// Registry is the distribution project's registry twice over the same images: an open one that is pushed to, and one that
// asks who pulls, by Basic or by tokens, which it then gives as well.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/crypto/bcrypt"
)

const (
	issuer  = "world"
	service = "world-registry"
)

// access is one entry of a token's claim of the same name.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// tokens gives tokens: to nobody for what is below "public/", to the user for everything.
type tokens struct {
	signer         jose.Signer
	user, password string
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	port := flag.Int("port", 0, "where the registry that asks listens on 127.0.0.1")
	openPort := flag.Int("open-port", 0, "where the registry that is pushed to listens on 127.0.0.1")
	tokenPort := flag.Int("token-port", 0, "where the token service listens on 127.0.0.1; none at 0")
	realm := flag.String("realm", "", "the token service's address as clients are told it")
	user := flag.String("user", "", "the user who may pull; anyone may without one")
	password := flag.String("password", "", "the user's password, and identity token")
	folder := flag.String("folder", ".", "where files may be written")
	flag.Parse()

	open := settings(*openPort, *folder)
	go func() { check(serve(open)) }()
	config := settings(*port, *folder)
	switch {
	case *tokenPort != 0:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(err)
		roots := filepath.Join(*folder, "roots.pem")
		certificate := writeRoot(key, roots)
		config.Auth = configuration.Auth{"token": {
			"realm": *realm, "service": service, "issuer": issuer, "rootcertbundle": roots,
		}}
		serveTokens(*tokenPort, &tokens{signer: signer(key, certificate), user: *user, password: *password})
	case *user != "":
		hash, err := bcrypt.GenerateFromPassword([]byte(*password), bcrypt.MinCost)
		check(err)
		file := filepath.Join(*folder, "htpasswd")
		check(os.WriteFile(file, []byte(*user+":"+string(hash)+"\n"), 0o600))
		config.Auth = configuration.Auth{"htpasswd": {"realm": "world", "path": file}}
	}
	check(serve(config))
}

func settings(port int, folder string) *configuration.Configuration {
	images := configuration.Parameters{"rootdirectory": filepath.Join(folder, "images")}
	config := &configuration.Configuration{Storage: configuration.Storage{"filesystem": images}}
	config.HTTP.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	config.HTTP.Secret = "world"
	config.Log.Level = "warn"
	config.Catalog.MaxEntries = 1000
	// Tests push images whose other platforms are nowhere.
	config.Validation.Manifests.Indexes.Platforms = "none"
	return config
}

func serve(config *configuration.Configuration) error {
	server, err := registry.NewRegistry(context.Background(), config)
	if err != nil {
		return err
	}
	return server.ListenAndServe()
}

// writeRoot writes the certificate of key, which the registry trusts, to file.
func writeRoot(key *ecdsa.PrivateKey, file string) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	check(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	certificate, err := x509.ParseCertificate(der)
	check(err)
	return certificate
}

func signer(key *ecdsa.PrivateKey, certificate *x509.Certificate) jose.Signer {
	public := jose.JSONWebKey{Key: key, Certificates: []*x509.Certificate{certificate}}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: public}, &jose.SignerOptions{EmbedJWK: true})
	check(err)
	return made
}

func serveTokens(port int, given *tokens) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	check(err)
	go func() { check(http.Serve(listener, given)) }()
}

// ServeHTTP answers as Docker's token service: GET with Basic or nothing, POST with an identity token.
func (given *tokens) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	known := false
	if request.Method == http.MethodPost {
		known = request.PostFormValue("grant_type") == "refresh_token" && request.PostFormValue("refresh_token") == given.password &&
			request.PostFormValue("client_id") != ""
		if !known {
			http.Error(answer, `{"details":"unknown identity token"}`, http.StatusUnauthorized)
			return
		}
	} else if user, password, isGiven := request.BasicAuth(); isGiven {
		known = user == given.user && password == given.password
		if !known {
			http.Error(answer, `{"details":"incorrect username or password"}`, http.StatusUnauthorized)
			return
		}
	}
	granted := []access{}
	for _, scope := range strings.Fields(strings.Join(request.Form["scope"], " ") + " " + strings.Join(request.URL.Query()["scope"], " ")) {
		parts := strings.SplitN(scope, ":", 3)
		if len(parts) == 3 && (known || strings.HasPrefix(parts[1], "public/")) {
			granted = append(granted, access{Type: parts[0], Name: parts[1], Actions: strings.Split(parts[2], ",")})
		}
	}
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "aud": service, "sub": given.user, "jti": fmt.Sprint(now.UnixNano()), "access": granted,
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	text, err := jwt.Signed(given.signer).Claims(claims).Serialize()
	check(err)
	field := "token"
	if request.Method == http.MethodPost {
		field = "access_token"
	}
	answer.Header().Set("Content-Type", "application/json")
	check(json.NewEncoder(answer).Encode(map[string]any{field: text, "expires_in": 300, "issued_at": now.Format(time.RFC3339)}))
}
