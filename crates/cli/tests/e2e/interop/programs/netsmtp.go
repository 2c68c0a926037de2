// Sends one message with Go's net/smtp. Arguments as for every program here: see programs.rs.
package main

import (
	"crypto/tls"
	"fmt"
	"net/smtp"
	"os"
)

// net/smtp has no AUTH LOGIN; programs bring their own, like this one.
type login struct{ user, password string }

func (l login) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (l login) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch string(challenge) {
	case "Username:":
		return []byte(l.user), nil
	case "Password:":
		return []byte(l.password), nil
	}
	return nil, fmt.Errorf("asked for %q", challenge)
}

func authentication(mechanism, user, password string) smtp.Auth {
	switch mechanism {
	case "LOGIN":
		return login{user, password}
	case "CRAM-MD5":
		return smtp.CRAMMD5Auth(user, password)
	}
	return smtp.PlainAuth("", user, password, "127.0.0.1")
}

func connect(address, how string) (*smtp.Client, error) {
	trusting := &tls.Config{InsecureSkipVerify: true}
	if how != "implicit" {
		client, err := smtp.Dial(address)
		if err != nil {
			return nil, err
		}
		return client, client.StartTLS(trusting)
	}
	connection, err := tls.Dial("tcp", address, trusting)
	if err != nil {
		return nil, err
	}
	return smtp.NewClient(connection, "127.0.0.1")
}

func send() error {
	arguments := os.Args[1:]
	client, err := connect("127.0.0.1:"+arguments[0], arguments[1])
	if err != nil {
		return err
	}
	if err := client.Auth(authentication(arguments[2], arguments[3], arguments[4])); err != nil {
		return err
	}
	if err := client.Mail(arguments[5]); err != nil {
		return err
	}
	for _, recipient := range arguments[7:] {
		if err := client.Rcpt(recipient); err != nil {
			return err
		}
	}
	message, err := os.ReadFile(arguments[6])
	if err != nil {
		return err
	}
	writer, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := writer.Write(message); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return client.Quit()
}

func main() {
	if err := send(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
