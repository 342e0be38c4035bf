// Naming the buttons, where the server keeps names (`PlayServer` in genie_mini/play/server.py): a
// mode in which each button has a field for its name below it, and plays as ever.

export class Naming {
  constructor(player) {
    this.player = player;
    this.toggle = player.find(".name");
    this.fields = player.buttons.map((button, action) => this.addField(button, action));
    this.toggle.hidden = false;
    this.toggle.addEventListener("click", () => this.open(player.find(".how-to-name").hidden));
  }

  addField(button, action) {
    const field = Object.assign(document.createElement("input"), {
      type: "text",
      maxLength: this.player.options.naming.longest,
      autocomplete: "off",
      dir: "auto",
      hidden: true,
    });
    field.setAttribute("aria-label", `Name of button ${action + 1}`);
    field.setAttribute("aria-describedby", "how-to-name");
    field.addEventListener("change", () => this.save(field, action));
    field.addEventListener("keydown", event => {
      if (event.isComposing) return; // the key belongs to what writes the characters
      if (event.key === "Enter") this.save(field, action);
      if (event.key === "Escape") this.cancel(field, action);
    });
    button.after(field);
    return field;
  }

  name(action) {
    return this.player.options.world.actionNames[action];
  }

  /** Show the fields, or put them away. */
  open(open) {
    const { find } = this.player;
    find(".actions").classList.toggle("naming", open);
    find(".how-to-name").hidden = !open;
    this.toggle.textContent = open ? "Done" : "Name the buttons";
    if (!open) this.toggle.focus(); // or the focus would go with its field
    for (const [action, field] of this.fields.entries()) {
      field.hidden = !open;
      if (open && !field.ariaInvalid) field.value = this.name(action); // else it is still to be mended
    }
    if (open) this.fields[0].select();
  }

  /** Bring the present name back; where it stands already, put the fields away. */
  cancel(field, action) {
    const changed = field.value !== this.name(action);
    this.take(field, action);
    if (!changed) this.open(false);
  }

  take(field, action) {
    field.value = this.name(action);
    field.ariaInvalid = null;
  }

  async save(field, action) {
    if (field.readOnly) return; // it is being saved
    if (field.value.trim() === this.name(action)) {
      this.take(field, action);
      return;
    }
    field.readOnly = true;
    try {
      const { names } = await this.player.engine.name(action, field.value);
      this.player.showNames(names);
      this.take(field, action);
      const name = this.name(action);
      this.player.say(`Button ${action + 1} ${name ? `is called ${name}` : "has no name"} now.`);
    } catch (error) {
      field.ariaInvalid = "true";
      this.player.say(error.message, true);
    }
    field.readOnly = false;
  }
}
