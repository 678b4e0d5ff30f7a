package main

import (
	"context"
	"net/http"
	"strings"

	"tapward/gateway/phone/agent"
)

type ctlCommand struct {
	Do   string `arg:"" help:"show, plant (leave something for the verify step to find), unplant, reload, or a gesture: ${gestures}."`
	With string `arg:"" optional:"" help:"The slot, reader, per cent, or yes and no of the gesture."`
}

func (c ctlCommand) Run(ctx context.Context, path configPath, m Main) error {
	config, err := path.read()
	if err != nil {
		return err
	}
	phone := dialControl(config.socket())
	switch c.Do {
	case "show":
		text, err := phone.ask(ctx, http.MethodGet, "/show", nil)
		if err == nil {
			_, err = m.Stdout.Write(text)
		}
		return err
	case "plant", "unplant", "reload":
		return phone.post(ctx, "/"+c.Do, nil)
	}
	g := agent.Gesture{Do: c.Do, With: c.With}
	if err := g.Check(); err != nil {
		return err
	}
	return phone.post(ctx, "/gesture", g)
}

var gestures = strings.Join(agent.GestureNames(), ", ")
