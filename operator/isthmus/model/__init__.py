"""Types only: custom resources, facts about external systems, wanted state, actions, reasons, names."""
