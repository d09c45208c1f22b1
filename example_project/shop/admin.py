"""The shop in the admin."""

from __future__ import annotations

from django.contrib import admin

from example_project.shop.models import CatalogItem, EmailJob, Order, OrderLine
from pleme_redis_django.admin import JobModelAdmin

# A job model of the project's own gets the page that the package's has.
admin.site.register(EmailJob, JobModelAdmin)


@admin.register(CatalogItem)
class CatalogItemAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "city", "country", "elevation_feet", "price_cents"]
    list_filter = ["country"]
    search_fields = ["code", "name", "city"]
    show_full_result_count = False


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    raw_id_fields = ["item"]
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["number", "customer_name", "email", "placed_at"]
    search_fields = ["number", "customer_name", "email"]
    inlines = [OrderLineInline]
