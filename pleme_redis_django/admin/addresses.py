"""AddressedAdmin: the addresses of an admin's own pages, on whichever AdminSite it is registered."""

from __future__ import annotations

from django.urls import reverse

from pleme_redis_django.admin.capped_list import AnyModelAdmin


class AddressedAdmin(AnyModelAdmin):
    """A ModelAdmin that knows where its pages are."""

    def url_name(self, page: str) -> str:
        """Return the name of a page's URL, in the namespace of the site."""
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def page_url(self, page: str, *arguments: str) -> str:
        return reverse(f"admin:{self.url_name(page)}", args=arguments, current_app=self.admin_site.name)
