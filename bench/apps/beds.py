"""Publish what a ward of many holds, for what MongoDB's changes cost."""

from bolide.server import App, Context, Cursor

__all__ = ["app"]

app = App()
beds = app.collection("beds")


@app.publish("ward", public=True)
async def ward(ctx: Context, ward: str) -> Cursor:
    """Publish the beds of one ward."""
    return beds.find({"ward": ward})
